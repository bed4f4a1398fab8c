import { assert, describe, it } from "@effect/vitest"
import { audit, auditFollowUps, type AuditedStream, linkedIdsOf } from "../../src/core/audit.ts"
import { followUpOf } from "../../src/core/followUps.ts"
import type { FollowUp, TaskEvent } from "../../src/core/TaskEvent.ts"
import { isTaskId, nominalDueAtMsOf, slotOf } from "../../src/core/TaskId.ts"
import { cancel, claim, discard, expire, redrive, schedule, start, succeed, TaskActor, wasDone } from "./TaskActor.ts"

const receipt: FollowUp = { kind: "receipt", priority: "low", inMs: 0, dueJitter: null, payload: "thanks" }
const alert: FollowUp = { kind: "alert", priority: "high", inMs: 60_000, dueJitter: null, payload: "dead" }
const both = schedule({ onSuccess: receipt, onDead: { ...alert, onSuccess: receipt } })

const actor = (...intents: ReadonlyArray<Parameters<TaskActor["does"]>[0]>) =>
  new TaskActor({ retry: { attemptsMax: 1, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" } }).lives(...intents)

/** What follows each event of a life. */
const followersOf = ({ events }: AuditedStream) => {
  const [born] = events
  return born?._tag === "TaskScheduled" ? events.flatMap((event) => followUpOf(born, event) ?? []) : []
}

/** The streams of what follows a stream, as a store schedules them. */
const streamsAfter = (stream: AuditedStream): ReadonlyArray<AuditedStream> =>
  followersOf(stream).map(({ eventId, taskId, ...body }) => {
    const event: TaskEvent = { _tag: "TaskScheduled", ...body, taskId, eventId, version: 1, atMs: endMs(stream) }
    const { dueAtMs, kind, priority } = body
    return {
      taskId,
      events: [event],
      projections: [{ stage: "pending", kind, priority, dueAtMs, version: 1, attempt: 0, charged: 0 }]
    }
  })
const endMs = ({ events }: AuditedStream) => events.at(-1)?.atMs ?? 0

describe("what follows an end", () => {
  it("is the one of a success, or of a death, and nothing follows any other event", () => {
    const kindsAfter = (life: TaskActor) => followersOf(life.stream).map(({ kind }) => kind)
    assert.deepStrictEqual(kindsAfter(actor(both, claim, start, succeed)), ["receipt"])
    assert.deepStrictEqual(kindsAfter(actor(both, claim, start, discard)), ["alert"])
    assert.deepStrictEqual(kindsAfter(actor(both, cancel)), [])
    assert.deepStrictEqual(kindsAfter(actor(schedule({ onDead: alert }), claim, start, succeed)), [])
    const parked = new TaskActor({ onInterrupted: "park" }).lives(both, claim, start, expire)
    assert.deepStrictEqual(kindsAfter(parked), [])
    assert.deepStrictEqual(kindsAfter(parked.lives(wasDone)), ["receipt"])
    const redriven = actor(both, claim, start, discard, redrive, claim, start, discard, redrive, claim, start, succeed)
    assert.deepStrictEqual(kindsAfter(redriven), ["alert", "alert", "receipt"])
    assert.strictEqual(new Set(followersOf(redriven.stream).map(({ taskId }) => taskId)).size, 3)
  })

  it("follows from the end alone: id, due time with its jitter, slot and what follows it in turn", () => {
    const jittered = { ...alert, inMs: 1.5, dueJitter: { fromMs: 1_000, toMs: 2_000 }, onSuccess: receipt }
    const { stream } = actor(schedule({ onDead: jittered }), claim, start, discard)
    const [one] = followersOf(stream)
    assert.deepStrictEqual(followersOf(stream), [one])
    const end = stream.events.at(-1)
    if (one === undefined || end === undefined) throw new Error("nothing follows")
    const nominalMs = Math.ceil(end.atMs + 1.5)
    assert.isTrue(isTaskId(one.taskId))
    assert.deepStrictEqual([nominalDueAtMsOf(one.taskId), slotOf(one.taskId)], [nominalMs, slotOf(stream.taskId)])
    assert.isTrue(one.dueAtMs >= nominalMs + 1_000 && one.dueAtMs <= nominalMs + 2_000)
    assert.deepStrictEqual(one.follows, { taskId: stream.taskId, version: end.version })
    assert.deepStrictEqual(one.onSuccess, receipt)
    assert.match(one.eventId, /^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })

  it("has ids of its own for each of many ends", () => {
    const ids = new Set<string>()
    for (let place = 0; place < 20_000; place++) {
      const eventId = `00000000-0000-4000-8000-${place.toString(16).padStart(12, "0")}`
      const end = { _tag: "AttemptSucceeded", taskId: actorId, version: 4, eventId, atMs: 1 } as const
      const follower = followUpOf({ onSuccess: receipt }, end)
      ids.add(follower?.taskId ?? "").add(follower?.eventId ?? "")
    }
    assert.strictEqual(ids.size, 40_000)
  })
})

const actorId = actor().taskId

const spoiled = (event: TaskEvent | undefined, fields: Readonly<Record<string, unknown>>): TaskEvent =>
  ({ ...event, ...fields }) as TaskEvent

type Pair = readonly [stream: AuditedStream, follower: AuditedStream]

/** Each breaks S20 in one way. */
const mutants: ReadonlyArray<readonly [what: string, spoil: (pair: Pair) => ReadonlyArray<AuditedStream>]> = [
  ["an end without its follow-up", ([stream]) => [stream]],
  ["a follow-up without the task it follows", ([, follower]) => [follower]],
  [
    "a follow-up of a task that has not ended",
    ([stream, follower]) => [{ ...stream, events: stream.events.slice(0, 3) }, follower]
  ],
  [
    "a follow-up of an event that is no end",
    ([stream, follower]) => [stream, born(follower, { follows: { taskId: stream.taskId, version: 2 } })]
  ],
  ["a second follow-up of one end", ([stream, follower]) => [stream, follower, renamed(follower)]],
  ["a follow-up of another end", ([stream, follower]) => [stream, renamed(follower)]],
  ["a follow-up that follows nothing", ([stream, follower]) => [stream, born(follower, { follows: undefined })]],
  ["a follow-up of another kind", ([stream, follower]) => [stream, born(follower, { kind: "other" })]],
  ["a follow-up of another priority", ([stream, follower]) => [stream, born(follower, { priority: "critical" })]],
  ["a follow-up due at another time", ([stream, follower]) => [stream, born(follower, { dueAtMs: 1 })]],
  ["a follow-up by another event", ([stream, follower]) => [stream, born(follower, { eventId: "other" })]]
]

const born = (stream: AuditedStream, fields: Readonly<Record<string, unknown>>): AuditedStream => ({
  ...stream,
  events: [spoiled(stream.events[0], fields)]
})
const renamed = (stream: AuditedStream): AuditedStream => {
  const taskId = `${stream.taskId.slice(0, -4)}0000`
  return { ...born(stream, { taskId, eventId: "renamed" }), taskId }
}

describe("S20", () => {
  const pair = (): Pair => {
    const { stream } = actor(both, claim, start, succeed)
    const [follower] = streamsAfter(stream)
    if (follower === undefined) throw new Error("nothing follows")
    return [stream, follower]
  }
  const foundIn = (streams: ReadonlyArray<AuditedStream>) => audit(streams).map(({ invariant }) => invariant)

  it("finds nothing where each end has its own, in any order", () => {
    const redriven = actor(both, claim, start, discard, redrive, claim, start, discard, redrive, claim, start, succeed)
    const streams = [...streamsAfter(redriven.stream), redriven.stream]
    assert.strictEqual(streams.length, 4)
    assert.deepStrictEqual(audit(streams), [])
    assert.deepStrictEqual(audit(streams.toReversed()), [])
    assert.deepStrictEqual(audit([actor(both, cancel).stream]), [])
  })

  for (const [what, spoil] of mutants) {
    it(`finds ${what}`, () => {
      assert.include(foundIn(spoil(pair())), "S20")
    })
  }

  it("names the streams that one is to be judged with, and says nothing of history that is retired", () => {
    const [stream, follower] = pair()
    assert.deepStrictEqual(linkedIdsOf(stream), [follower.taskId])
    assert.deepStrictEqual(linkedIdsOf(follower), [stream.taskId])
    assert.deepStrictEqual(linkedIdsOf(actor(schedule(), claim, start, succeed).stream), [])
    const alone = (historyFromMs?: number) => auditFollowUps(follower, () => undefined, historyFromMs).length
    assert.deepStrictEqual([alone(), alone(nominalDueAtMsOf(stream.taskId)), alone(endMs(stream) + 1)], [1, 1, 0])
  })
})
