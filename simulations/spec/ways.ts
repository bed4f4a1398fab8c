/** Ways to where something can happen: none of them is long, and hardly one of them comes by chance. */
import * as fc from "fast-check"
import type { Draw, NewDraw } from "./Draw.ts"

export const newOne = (kind: number, fields: Partial<NewDraw> = {}): NewDraw => ({
  kind,
  priority: "normal",
  dueInMs: 0,
  expiresInMs: null,
  key: null,
  keyKeptMs: null,
  payload: null,
  next: "none",
  nextInMs: 0,
  ...fields
})

const claimAll: Draw = {
  tag: "Claim",
  session: 0,
  kinds: 0,
  lanes: "all",
  lookAheadMs: 0,
  limit: 1_000,
  concurrencyMax: null
}
const start = (session: number, timeoutMs = 60_000): Draw => ({
  tag: "Start",
  session,
  claims: [0, 1],
  timeoutMs,
  isDispatched: false
})
const failure: Draw = {
  tag: "Finish",
  starts: [0, 1].map((index) => ({
    start: index,
    outcome: { _tag: "Fail", error: { name: "Error", message: "no" }, retryable: false, retryInMs: null }
  }))
}
const later: Draw = { tag: "Tick", ms: 1_000 }

/** Ways to a state in which something can be fought about: waiting, claimed, running, overdue, left by its session, late, parked, dead. */
const ways = (tasks: ReadonlyArray<NewDraw>): ReadonlyArray<ReadonlyArray<Draw>> => {
  const schedule: Draw = { tag: "Schedule", tasks }
  const parks: Draw = { tag: "Schedule", tasks: tasks.map((task) => ({ ...task, kind: 1, expiresInMs: null })) }
  const late: Draw = { tag: "Schedule", tasks: tasks.map((task) => ({ ...task, expiresInMs: 1_000 })) }
  return [
    [schedule],
    [schedule, claimAll],
    [schedule, claimAll, start(0)],
    [schedule, claimAll, start(0)],
    [schedule, claimAll, start(0, 400), later],
    [schedule, claimAll, start(1), { tag: "Kill", session: 1 }],
    [schedule, claimAll, { tag: "Kill", session: 0 }],
    [late, later],
    [late, claimAll, later],
    [parks, claimAll, start(1), { tag: "Leave", session: 1 }, { tag: "Expire" }],
    [schedule, claimAll, start(0), failure],
    [schedule, claimAll, start(0), { tag: "Act", task: 0, wish: { tag: "Cancel", reason: null } }]
  ]
}

const waysCount = ways([newOne(0)]).length

const tasksOf = (countMax: number) =>
  fc.array(
    fc
      .record({
        kind: fc.nat(3),
        key: fc.constantFrom(null, "a"),
        keyKeptMs: fc.constantFrom(null, 0),
        next: fc.constantFrom<NewDraw["next"]>("none", "none", "both"),
        priority: fc.constantFrom<NewDraw["priority"]>("normal", "high")
      })
      .map(({ kind, ...fields }) => newOne(kind, fields)),
    { minLength: 1, maxLength: countMax }
  )

/** @param countMax tasks at most, now and then with a key, or with something that follows */
export const waysWith = (countMax: number): fc.Arbitrary<ReadonlyArray<Draw>> =>
  fc.record({ tasks: tasksOf(countMax), way: fc.nat(waysCount - 1) }).map(({ tasks, way }) => ways(tasks)[way] ?? [])
