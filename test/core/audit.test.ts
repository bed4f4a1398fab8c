/**
 * The auditor is what every other test trusts, so it is tested by mutation: a history that the machine itself made
 * is green, and each way of spoiling it must be found under the invariant that it breaks.
 */
import { assert, describe, it } from "@effect/vitest"
import {
  audit,
  auditKey,
  auditRow,
  auditStream,
  AuditTally,
  invariants,
  type AuditedStream,
  type AuditOptions
} from "../../src/core/audit.ts"
import { attemptsMaxLimit, type RetryPolicy } from "../../src/core/RetryPolicy.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import {
  cancel,
  claim,
  discard,
  expire,
  fail,
  redrive,
  release,
  releaseClaim,
  reprioritise,
  runNow,
  schedule,
  snooze,
  start,
  startMs,
  succeed,
  TaskActor,
  wasDone,
  wasNotDone
} from "./TaskActor.ts"

const retry: RetryPolicy = { attemptsMax: 2, delay: { _tag: "Fixed", delayMs: 5 }, jitter: "none" }
const actor = () => new TaskActor({ retry, deathsMax: 2 })
const parking = () => new TaskActor({ retry, onInterrupted: "park" })

const histories: Readonly<Record<string, () => AuditedStream>> = {
  pending: () => actor().lives(schedule()).stream,
  claimed: () => actor().lives(schedule(), claim).stream,
  running: () => actor().lives(schedule(), claim, start).stream,
  succeeded: () => actor().lives(schedule(), claim, start, succeed).stream,
  "succeeded at the second attempt": () =>
    actor().lives(schedule(), claim, start, fail, claim, start, reprioritise, succeed).stream,
  "dead and redriven": () =>
    actor().lives(schedule(), claim, start, fail, claim, start, fail, redrive, claim, start).stream,
  dead: () => actor().lives(schedule(), claim, start, discard).stream,
  "expired twice": () => actor().lives(schedule(), claim, start, expire, claim, start, expire).stream,
  parked: () => new TaskActor({ retry, onInterrupted: "park" }).lives(schedule(), claim, start, expire).stream,
  "parked and resumed": () =>
    new TaskActor({ retry, onInterrupted: "park" }).lives(schedule(), claim, start, expire, runNow, claim, start)
      .stream,
  "resumed beyond the limit": () =>
    new TaskActor({ retry, onInterrupted: "park" }).lives(
      schedule(),
      claim,
      start,
      expire,
      runNow,
      claim,
      start,
      expire,
      runNow,
      claim,
      start,
      fail
    ).stream,
  reconciled: () => parking().lives(schedule(), claim, start, cancel, expire, wasDone).stream,
  "not done, and tried again": () =>
    parking().lives(schedule(), claim, start, expire, wasNotDone, claim, start, succeed).stream,
  "not done at the limit": () =>
    parking().lives(schedule(), claim, start, expire, wasNotDone, claim, start, expire, wasNotDone).stream,
  "given back in every way": () =>
    actor().lives(schedule(), claim, releaseClaim, claim, start, snooze, claim, start, release, claim, expire).stream,
  cancelled: () => actor().lives(schedule(), cancel).stream,
  "cancelled while running": () => actor().lives(schedule(), claim, start, cancel, snooze).stream,
  "succeeded though cancelled": () => actor().lives(schedule(), claim, start, cancel, succeed).stream
}

type Mutant = readonly [invariant: string, change: string, history: string, spoil: (stream: Stream) => void]

/** A copy of a stream that a mutant may change in place. */
type Stream = {
  taskId: string
  events: Array<TaskEvent>
  projections: Array<AuditedStream["projections"][number]>
  unknown?: AuditedStream["unknown"] & {}
}

const mutants: ReadonlyArray<Mutant> = [
  ["S1", "an event is missing", "running", ({ events }) => events.splice(1, 1)],
  ["S1", "a version is there twice", "running", (stream) => edit(stream, 2, { version: 2 })],
  ["S1", "the versions begin at 2", "pending", (stream) => edit(stream, 0, { version: 2 })],
  ["S1", "two events swap places", "running", (stream) => (stream.events = stream.events.toReversed())],
  ["S1", "an event id repeats", "running", (stream) => edit(stream, 2, { eventId: stream.events[1]?.eventId ?? "" })],
  ["S1", "an event is of another task", "running", (stream) => edit(stream, 1, { taskId: "another" })],
  ["S1", "the stream is empty", "pending", ({ events }) => events.splice(0)],

  ["S2", "a start without a claim", "running", (stream) => drop(stream, 1)],
  ["S2", "an outcome without a start", "succeeded", (stream) => drop(stream, 2)],
  ["S2", "a task born by a claim", "claimed", (stream) => drop(stream, 0)],
  ["S2", "a second birth", "claimed", (stream) => append(stream, stream.events[0])],
  ["S2", "a claim of a claimed task", "claimed", (stream) => append(stream, stream.events[1])],
  [
    "S2",
    "a retry in spite of a cancel request",
    "cancelled while running",
    (stream) => {
      drop(stream, 4)
      const dueAtMs = startMs + 100
      append(stream, { ...first(stream), _tag: "AttemptSnoozed", attempt: 1, dueAtMs })
    }
  ],
  ["S2", "a running task cancelled without a request", "cancelled while running", (stream) => drop(stream, 3)],
  [
    "S2",
    "a task resumed that is not parked",
    "pending",
    (stream) => append(stream, { ...first(stream), _tag: "TaskResumed", reason: "run-now", dueAtMs: startMs })
  ],
  [
    "S2",
    "a redrive of a parked task",
    "parked",
    (stream) => append(stream, { ...first(stream), _tag: "TaskRedriven", dueAtMs: startMs + 100 })
  ],
  ["S2", "an event of a type from the future", "pending", (stream) => (stream.unknown = [{ version: 2, type: 99 }])],
  ["S2", "a pending task that starts by itself", "given back in every way", (stream) => drop(stream, 6)],

  ["S2", "a reconciliation of what was not parked", "reconciled", (stream) => drop(stream, 4)],
  [
    "S2",
    "a task tried again in spite of a cancel request",
    "reconciled",
    (stream) => edit(stream, 5, { _tag: "TaskResumed", reason: "not-done", dueAtMs: startMs + 100 })
  ],

  ["S3", "a claim after success", "succeeded", (stream) => append(stream, stream.events[1])],
  [
    "S3",
    "a redrive after success",
    "succeeded",
    (stream) => append(stream, { ...first(stream), _tag: "TaskRedriven", dueAtMs: startMs })
  ],
  [
    "S3",
    "a reprioritised dead letter",
    "dead",
    (stream) => append(stream, { ...first(stream), _tag: "TaskReprioritised", priority: "low" })
  ],
  ["S3", "a second cancel", "cancelled", (stream) => append(stream, stream.events[1])],

  ["S4", "two starts of one attempt", "running", (stream) => append(stream, stream.events[2])],
  ["S4", "two outcomes of one attempt", "succeeded", (stream) => append(stream, stream.events[3])],
  [
    "S4",
    "a failure after success",
    "succeeded",
    (stream) =>
      append(stream, {
        ...first(stream),
        _tag: "AttemptReleased",
        attempt: 1,
        reason: "drained",
        dueAtMs: startMs + 100
      })
  ],
  ["S4", "an attempt number is left out", "running", (stream) => edit(stream, 2, { attempt: 2 })],
  [
    "S4",
    "an attempt number is used again",
    "succeeded at the second attempt",
    (stream) => edit(stream, 5, { attempt: 1 })
  ],
  [
    "S4",
    "an outcome of another attempt",
    "succeeded at the second attempt",
    (stream) => edit(stream, 7, { attempt: 1 })
  ],
  ["S4", "an outcome of an attempt that never was", "succeeded", (stream) => edit(stream, 3, { attempt: 7 })],

  ["S4", "an attempt that was reconciled twice", "reconciled", (stream) => append(stream, stream.events[5])],
  [
    "S4",
    "an outcome beside what the outside told",
    "reconciled",
    (stream) => edit(stream, 5, { _tag: "AttemptSucceeded", attempt: 1, result: null })
  ],
  ["S4", "a reconciliation of another attempt", "reconciled", (stream) => edit(stream, 5, { attempt: 7 })],

  ["S5", "an attempt starts while another runs", "succeeded at the second attempt", (stream) => drop(stream, 3)],
  ["S5", "a lease is taken before its deadline", "expired twice", (stream) => edit(stream, 3, { reason: "deadline" })],
  ["S5", "a park before the deadline", "parked", (stream) => edit(stream, 3, { reason: "deadline" })],
  ["S5", "a deadline before the start", "running", (stream) => edit(stream, 2, { deadlineAtMs: startMs - 1 })],

  ["S10", "no row", "running", ({ projections }) => projections.splice(0)],
  ["S10", "two rows", "running", ({ projections }) => projections.push(...projections)],
  [
    "S10",
    "a row of a task that is over",
    "succeeded",
    (stream) => stream.projections.push(...actor().lives(schedule()).stream.projections)
  ],
  ["S10", "a row in another stage", "running", (stream) => editRow(stream, { stage: "claimed" })],
  ["S10", "a row one version behind", "running", (stream) => editRow(stream, { version: 2 })],
  ["S10", "a row of another kind", "pending", (stream) => editRow(stream, { kind: "other" })],
  ["S10", "a row of another priority", "pending", (stream) => editRow(stream, { priority: "critical" })],
  ["S10", "a row with another due time", "pending", (stream) => editRow(stream, { dueAtMs: startMs + 1 })],
  ["S10", "a row of another attempt", "running", (stream) => editRow(stream, { attempt: 2 })],
  ["S10", "a row charged otherwise", "parked", (stream) => editRow(stream, { charged: 0 })],
  ["S10", "a row without its death", "parked", (stream) => editRow(stream, { deaths: 0 })],
  [
    "S10",
    "a row with another fence",
    "running",
    (stream) => editRow(stream, { fence: { version: 2, eventId: "other" } })
  ],
  ["S10", "a row of another session", "claimed", (stream) => editRow(stream, { sessionId: 9 })],
  ["S10", "a row with a later deadline", "running", (stream) => editRow(stream, { deadlineAtMs: startMs + 1e6 })],
  ["S10", "a row with a wish that nobody had", "running", (stream) => editRow(stream, { cancelRequested: true })],
  ["S10", "a row parked at another time", "parked", (stream) => editRow(stream, { sinceMs: startMs - 1 })],
  [
    "S10",
    "a row dead for another reason",
    "dead",
    (stream) => editRow(stream, { death: { reason: "exhausted", error: { name: "Error", message: "other" } } })
  ],
  ["S10", "a dead letter without a row", "dead", ({ projections }) => projections.splice(0)],

  [
    "S11",
    "an attempt over the limit",
    "dead and redriven",
    // Without its redrive a dead letter starts once more.
    (stream) => drop(stream, 7)
  ],
  [
    "S11",
    "attempts over the limit that nobody asked for",
    "resumed beyond the limit",
    (stream) => {
      drop(stream, 8)
      drop(stream, 4)
    }
  ],
  [
    "S11",
    "retried at the limit",
    "dead and redriven",
    (stream) => {
      stream.events.splice(7)
      edit(stream, 6, { _tag: "AttemptFailed", attempt: 2, dueAtMs: startMs + 100 })
    }
  ],
  [
    "S11",
    "not done at the limit, and tried again",
    "not done at the limit",
    (stream) => edit(stream, 8, { _tag: "TaskResumed", reason: "not-done", dueAtMs: startMs + 100 })
  ],
  [
    "S11",
    "resumed beyond the limit by nobody",
    "resumed beyond the limit",
    (stream) => edit(stream, 8, { reason: "not-done" })
  ],
  ["S11", "exhausted before the limit", "dead", (stream) => edit(stream, 3, { reason: "exhausted" })],
  ["S11", "quarantined before the limit", "dead", (stream) => edit(stream, 3, { reason: "quarantined" })],
  [
    "S11",
    "quarantined though an attempt has survived in between",
    "expired twice",
    (stream) => edit(stream, 3, { reason: "session-left" })
  ],

  [
    "S12",
    "a retry later than the policy's ceiling",
    "expired twice",
    (stream) => edit(stream, 3, { dueAtMs: startMs + 60_000 })
  ],
  [
    "S12",
    "a retry due before its failure",
    "succeeded at the second attempt",
    (stream) => edit(stream, 3, { dueAtMs: startMs })
  ],
  [
    "S12",
    "not done, and tried again later than the policy's ceiling",
    "not done, and tried again",
    (stream) => edit(stream, 4, { dueAtMs: startMs + 60_000 })
  ],
  ["S12", "a snooze into the past", "given back in every way", (stream) => edit(stream, 5, { dueAtMs: startMs })],

  ["S13", "a start before the due time", "running", (stream) => edit(stream, 0, { dueAtMs: startMs + 60_000 })],
  [
    "S13",
    "a retry before its due time",
    "succeeded at the second attempt",
    (stream) => edit(stream, 3, { dueAtMs: startMs + 1_000 })
  ],

  [
    "S14",
    "a start after a cancel",
    "cancelled",
    (stream) =>
      append(stream, {
        ...first(stream),
        _tag: "AttemptStarted",
        attempt: 1,
        sessionId: 1,
        deadlineAtMs: startMs + 100,
        dispatchedAtMs: null
      })
  ],
  [
    "S14",
    "a start after a cancel request",
    "succeeded at the second attempt",
    (stream) => edit(stream, 3, { _tag: "CancelRequested", reason: null })
  ],

  ["S19", "an event earlier than the one before", "running", (stream) => edit(stream, 2, { atMs: startMs })]
]

const options = { policyOf: () => actor().policy }

describe("the auditor", () => {
  it("finds nothing in any history that the machine made", () => {
    for (const [name, history] of Object.entries(histories)) {
      assert.deepStrictEqual(auditStream(history(), options), [], name)
      assert.deepStrictEqual(audit([history()], options), [], name)
    }
  })

  for (const [invariant, change, history, spoil] of mutants) {
    it(`finds, by ${invariant}: ${change} (${history})`, () => {
      const stream = copyOf(history)
      spoil(stream)
      const found = auditStream(stream, options).map((violation) => violation.invariant)
      assert.include(found, invariant)
    })
  }

  it("has a mutant for each of its invariants", () => {
    const killed = new Set(mutants.map(([invariant]) => invariant))
    assert.deepStrictEqual([...killed].toSorted(), invariants.map(({ id }) => id).toSorted())
  })

  it("finds a row of due where no event has put it, and no fault in a row that its stream leads to", () => {
    const { events, projections } = copyOf("pending")
    const [projection] = projections
    if (projection === undefined) throw new Error("the stream has no row")
    const reasonsOf = (changes: Partial<typeof projection>, of = events) =>
      auditRow({ taskId: "t", projection: { ...projection, ...changes }, events: of }).map(({ message }) => message)
    assert.deepStrictEqual(reasonsOf({}), [])
    assert.deepStrictEqual(reasonsOf({ version: 7 }), [], "its stream finds it and compares it")
    assert.deepStrictEqual(reasonsOf({ stage: "claimed" }), [], "its stream finds it and compares it")
    assert.match(reasonsOf({ priority: "low" })[0] ?? "", /^a pending row at priority low, in the events it is normal$/)
    assert.match(reasonsOf({ dueAtMs: startMs + 7 })[0] ?? "", /at dueAtMs/)
    assert.match(reasonsOf({ kind: "other" })[0] ?? "", /at kind other/)
    assert.match(reasonsOf({}, copyOf("running").events)[0] ?? "", /pending of a task that is running/)
    assert.match(reasonsOf({ stage: "parked" }, [])[0] ?? "", /parked of a task without events/)
  })

  it("says who has a key that a live task should have", () => {
    const fault = { taskId: "one", kind: "charge", key: "order-7" }
    const messageOf = (holderId: string | null) => auditKey({ ...fault, holderId }).message
    assert.propertyVal(auditKey({ ...fault, holderId: null }), "invariant", "S15")
    assert.match(messageOf(null), /is held by none$/)
    assert.match(messageOf("other"), /is held by other$/)
    assert.match(messageOf("one"), /held by this task, which has no events$/)
  })

  it("holds no task to a policy that nobody knows, but all to the most that any policy allows", () => {
    const life = new TaskActor({ retry: { ...retry, attemptsMax: 2_000 } }).lives(schedule())
    for (let attempt = 0; attempt < attemptsMaxLimit; attempt++) life.lives(claim, start, fail)
    assert.deepStrictEqual(auditStream(life.stream), [])
    assert.deepStrictEqual(
      auditStream(life.lives(claim, start).stream).map(({ invariant }) => invariant),
      ["S11"]
    )
  })

  it("holds deaths in a row against the policy: quarantined neither before its limit nor after it", () => {
    const manyAttempts = { ...retry, attemptsMax: 9 }
    const messagesOf = (deathsMax: number, audited: number) => {
      const life = new TaskActor({ retry: manyAttempts, deathsMax }).lives(schedule())
      for (let death = 0; death < deathsMax; death++) life.lives(claim, start, expire)
      const policy = { ...life.policy, deathsMax: audited }
      return auditStream(life.stream, { policyOf: () => policy }).map(({ invariant, message }) => [invariant, message])
    }
    assert.deepStrictEqual(messagesOf(3, 3), [])
    assert.deepStrictEqual(messagesOf(3, 4), [["S11", "quarantined after 3 of 4 deaths"]])
    assert.deepStrictEqual(messagesOf(3, 2), [
      ["S11", "to be tried again after 2 of 2 deaths"],
      ["S11", "quarantined after 3 of 2 deaths"]
    ])
  })

  it("finds an event id that two streams share", () => {
    const one = new TaskActor({}, 1).lives(schedule()).stream
    const other = new TaskActor({}, 2).lives(schedule())
    assert.deepStrictEqual(audit([one, other.stream]), [])
    const thief = { ...other.stream, events: other.events.map((event) => ({ ...event, eventId: eventIdAt(one, 0) })) }
    assert.deepStrictEqual(
      audit([one, thief]).map((violation) => violation.invariant),
      ["S1"]
    )
  })

  it("finds two tasks that live under one key, but lets a key go when its task is over", () => {
    const one = new TaskActor({}, 1).lives(schedule({ key: "k" }))
    const other = new TaskActor({}, 2)
    other.nowMs += 1_000
    other.lives(schedule({ key: "k" }))
    assert.deepStrictEqual(
      audit([one.stream, other.stream]).map((violation) => violation.invariant),
      ["S15"]
    )
    one.lives(cancel)
    assert.deepStrictEqual(audit([one.stream, other.stream]), [])
  })

  it("holds attempts and delays against a policy only where it is known", () => {
    const late = copyOf("expired twice")
    edit(late, 3, { dueAtMs: startMs + 60 })
    edit(late, 6, { _tag: "AttemptExpired", attempt: 2, dueAtMs: startMs + 90 })
    late.projections.splice(0)
    const idsWith = (audited: AuditOptions) => auditStream(late, audited).map(({ invariant }) => invariant)
    assert.notIncludeMembers(idsWith({}), ["S11", "S12"])
    assert.includeMembers(idsWith(options), ["S11", "S12"])
  })

  it("forgives a clock the step that it is known to have made, and not more", () => {
    const stream = copyOf("running")
    edit(stream, 1, { atMs: startMs + 2_000 })
    const idsAt = (clockStepMsMax: number) => auditStream(stream, { clockStepMsMax }).map(({ invariant }) => invariant)
    assert.notInclude(idsAt(2_000), "S19")
    assert.include(idsAt(1_900), "S19")
  })

  it("says which task and version break what, in words", () => {
    const stream = copyOf("running")
    edit(stream, 0, { dueAtMs: startMs + 1_030 })
    stream.projections.splice(0, 1, { ...row(stream), dueAtMs: startMs + 1_030 })
    assert.deepStrictEqual(auditStream(stream, options), [
      {
        invariant: "S13",
        taskId: stream.taskId,
        version: 3,
        message: "attempt 1 starts 1000 ms before it is due"
      }
    ])
  })

  it("counts what it has seen, stream by stream", () => {
    const tally = new AuditTally(options)
    const spoiled = copyOf("running")
    spoiled.projections.splice(0)
    for (const stream of [histories["dead"]?.(), spoiled, spoiled]) if (stream !== undefined) tally.check(stream)
    assert.deepStrictEqual(
      [tally.streamsCount, tally.eventsCount, tally.violationsCount, [...tally.violationsByInvariant]],
      [3, 10, 2, [["S10", 2]]]
    )
  })
})

const copyOf = (history: string): Stream => {
  const stream = histories[history]?.()
  if (stream === undefined) throw new Error(`there is no history ${history}`)
  return { taskId: stream.taskId, events: [...stream.events], projections: [...stream.projections] }
}

const first = ({ events }: Stream): TaskEvent => {
  const [event] = events
  if (event === undefined) throw new Error("the stream is empty")
  return event
}

const row = ({ projections }: Stream) => {
  const [projection] = projections
  if (projection === undefined) throw new Error("the stream has no row")
  return projection
}

const eventIdAt = ({ events }: AuditedStream, index: number): string => events[index]?.eventId ?? ""

const edit = (stream: Stream, index: number, fields: Readonly<Record<string, unknown>>): void => {
  const event = stream.events[index]
  if (event === undefined) throw new Error(`there is no event ${index}`)
  stream.events[index] = { ...event, ...fields } as TaskEvent
}

const editRow = (stream: Stream, fields: Partial<AuditedStream["projections"][number]>): void => {
  stream.projections = stream.projections.map((projection) => ({ ...projection, ...fields }))
}

/** Takes an event out and closes the gap, so that the versions show nothing. */
const drop = (stream: Stream, index: number): void => {
  stream.events.splice(index, 1)
  for (const place of stream.events.keys()) edit(stream, place, { version: place + 1 })
}

/** Puts one more event at the end, with a version, id and time that show nothing. */
const append = (stream: Stream, event: TaskEvent | undefined): void => {
  const last = stream.events.at(-1)
  if (event === undefined || last === undefined) throw new Error("there is no such event")
  const version = last.version + 1
  stream.events.push({ ...event, version, eventId: `appended-${version}`, atMs: last.atMs + 10 })
}
