/**
 * What makes one history: its workload, its nodes, its faults, and the seed of everything else. fast-check draws it from one number
 * and shrinks it to what is needed for a failure. Each history draws its own subset of the kinds of faults (swarm).
 */
import * as fc from "fast-check"
import type { Fault, FaultTag } from "../../src/testing/simulation/Fault.ts"
import { attemptOperations, operations, repeatableOperations } from "../../src/testing/simulation/Fault.ts"
import type { NodeClock } from "../../src/testing/simulation/Incarnation.ts"
import type { Role } from "./node.ts"
import { leaseMsDefault } from "../../src/store/Session.ts"
import { type PlannedRecurrence, plannedRecurrences } from "./PlannedRecurrence.ts"

export const kindNames = ["post", "mail", "alert", "pay", "paced"] as const
export type KindName = (typeof kindNames)[number]

export type PlannedTask = {
  readonly kind: KindName
  /** When the client schedules it. */
  readonly atMs: number
  readonly dueInMs: number
  readonly workMs: number
  /** Attempts that fail, the first ones; a kind allows six. */
  readonly failures: number
  /** Attempts after those that run past their timeout. */
  readonly hangs: number
  /** From its due time on; null: never too late. */
  readonly expiresInMs: number | null
  /** Scheduled by two fibers at once under the same key. */
  readonly isTwice: boolean
  /** Whether others follow its end; absent: every third task's. */
  readonly isFollowed?: boolean
  readonly wishes: ReadonlyArray<PlannedWish>
}

/** What the client asks of a task after it was scheduled. */
export type PlannedWish = {
  readonly wish: "cancel" | "reschedule" | "reprioritise" | "runNow" | "redrive"
  readonly inMs: number
}

/** The client pauses a kind and lets it go on. */
export type PlannedPause = { readonly kind: KindName; readonly atMs: number; readonly forMs: number }

export type History = {
  /** Decides interleavings, ways and fates. */
  readonly seed: number
  /** Chance that a fiber loses its turn before an operation. */
  readonly preemption: number
  readonly clocks: ReadonlyArray<NodeClock>
  /** Dispatches go through a broker of the fleet, or stay in each process, whose worker then starts by itself what is due now. */
  readonly reach: "fleet" | "process"
  /** What each node is; absent: each is engine and worker in one process. */
  readonly roles?: ReadonlyArray<Role>
  /** Ms until all may be over; absent: as long as chaos lasts. */
  readonly lastsMs?: number
  readonly concurrency: number
  /** Tasks that an engine may hold claimed and not started (`EngineConfig.windowTasksMin`). */
  readonly windowTasks: number
  readonly pauses: ReadonlyArray<PlannedPause>
  readonly tasks: ReadonlyArray<PlannedTask>
  readonly recurrences: ReadonlyArray<PlannedRecurrence>
  readonly faults: ReadonlyArray<Fault>
}

/** In which workload and faults lie; then everything heals. */
export const chaosMs = 12_000
export const nodesMax = 3
/** The client is the node after the last, and never crashes. */
export const clientNode = nodesMax

const wish: fc.Arbitrary<PlannedWish> = fc.record({
  wish: fc.constantFrom("cancel", "cancel", "reschedule", "reprioritise", "runNow", "redrive", "redrive"),
  inMs: fc.integer({ min: 0, max: 8_000 })
})

const task: fc.Arbitrary<PlannedTask> = fc.record({
  kind: fc.constantFrom(...kindNames, "pay"),
  atMs: fc.integer({ min: 0, max: 6_000 }),
  dueInMs: fc.oneof(
    { weight: 1, arbitrary: fc.constant(0) },
    { weight: 2, arbitrary: fc.integer({ min: 0, max: 5_000 }) }
  ),
  workMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_500 }), fc.integer({ min: 1, max: 3_500 })),
  failures: fc.oneof(
    { weight: 12, arbitrary: fc.constant(0) },
    { weight: 4, arbitrary: fc.integer({ min: 1, max: 4 }) },
    { weight: 1, arbitrary: fc.constant(7) }
  ),
  // One that hangs in all its attempts takes a minute, in which nothing else happens: seldom.
  hangs: fc.oneof(
    { weight: 40, arbitrary: fc.constant(0) },
    { weight: 4, arbitrary: fc.constant(1) },
    { weight: 1, arbitrary: fc.constantFrom(2, 6) }
  ),
  expiresInMs: fc.oneof(
    { weight: 5, arbitrary: fc.constant(null) },
    { weight: 1, arbitrary: fc.integer({ min: 1, max: 6_000 }) }
  ),
  isTwice: fc.oneof({ weight: 6, arbitrary: fc.constant(false) }, { weight: 1, arbitrary: fc.constant(true) }),
  wishes: fc.oneof(
    { weight: 3, arbitrary: fc.constant([]) },
    { weight: 1, arbitrary: fc.array(wish, { minLength: 1, maxLength: 3 }) }
  )
})

const node = fc.integer({ min: 0, max: nodesMax - 1 })
const caller = fc.integer({ min: 0, max: clientNode })
const atMs = fc.integer({ min: 0, max: chaosMs })
// Half of them beyond a lease, an attempt's deadline, or both.
const forMs = fc.oneof(fc.integer({ min: 10, max: 8_000 }), fc.integer({ min: 5_000, max: 9_000 }))
const nth = fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 8 }))
// Those on which most depends, as often as all together.
const operation = fc.oneof(fc.constantFrom(...operations), fc.constantFrom(...attemptOperations, "settle"))
const leg = fc.constantFrom<Array<"request" | "reply">>("request", "reply")

const dayMs = 86_400_000
/** Half of them beyond a lease. */
const jumpMs = fc.oneof(fc.integer({ min: -20_000, max: 20_000 }), fc.integer({ min: 5_000, max: 12_000 }))

const faultOf: { readonly [Tag in FaultTag]: fc.Arbitrary<Fault> } = {
  Crash: fc.record({ _tag: fc.constant("Crash"), node, atMs, downMs: forMs }),
  CrashAtLeg: fc.record({
    _tag: fc.constant("CrashAtLeg"),
    node,
    operation: fc.oneof(
      { weight: 4, arbitrary: operation },
      // In the middle of a transaction: what a history has of them is few, and no other fault is as telling.
      { weight: 1, arbitrary: fc.constant("finishWith" as const) }
    ),
    leg,
    nth,
    downMs: forMs
  }),
  Pause: fc.record({ _tag: fc.constant("Pause"), node, atMs, forMs }),
  PauseAtLeg: fc.record({ _tag: fc.constant("PauseAtLeg"), node, operation, leg, nth, forMs }),
  Lose: fc.oneof(
    { weight: 6, arbitrary: fc.record({ _tag: fc.constant("Lose"), node: caller, operation, leg, nth }) },
    // A client alone schedules: else its lost answers would be one in some hundred.
    {
      weight: 1,
      arbitrary: fc.record({
        _tag: fc.constant("Lose"),
        node: fc.constant(clientNode),
        operation: fc.constant("schedule"),
        leg: fc.constant("reply"),
        nth: fc.integer({ min: 1, max: 8 })
      })
    },
    // Direct starts are in a fifth of the histories, and few in each.
    {
      weight: 1,
      arbitrary: fc.record({
        _tag: fc.constant("Lose"),
        node,
        operation: fc.constant("startDue"),
        leg,
        nth: fc.integer({ min: 1, max: 12 })
      })
    }
  ),
  Delay: fc.record({ _tag: fc.constant("Delay"), node: caller, operation, leg, nth, forMs }),
  Duplicate: fc.record({
    _tag: fc.constant("Duplicate"),
    node: caller,
    operation: fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...repeatableOperations) },
      { weight: 1, arbitrary: fc.constant("renew" as const) }
    ),
    nth
  }),
  Refuse: fc.record({ _tag: fc.constant("Refuse"), node: caller, operation, nth }),
  PoolExhausted: fc.record({ _tag: fc.constant("PoolExhausted"), node: caller, atMs, forMs }),
  CutOff: fc.record({ _tag: fc.constant("CutOff"), node, atMs, forMs }),
  BrokerDown: fc.record({ _tag: fc.constant("BrokerDown"), atMs, forMs }),
  BrokerEmptied: fc.record({ _tag: fc.constant("BrokerEmptied"), atMs }),
  Unreliable: fc.record({
    _tag: fc.constant("Unreliable"),
    how: fc.constantFrom("lost", "repeated", "late"),
    atMs,
    forMs
  }),
  ClockJump: fc.record({
    _tag: fc.constant("ClockJump"),
    node,
    atMs,
    byMs: fc.oneof(jumpMs, fc.constantFrom(-dayMs, dayMs))
  }),
  DatabaseClockJump: fc.record({ _tag: fc.constant("DatabaseClockJump"), atMs, byMs: jumpMs }),
  Failover: fc.record({
    _tag: fc.constant("Failover"),
    atMs,
    losesMs: fc.integer({ min: 0, max: 1_500 }),
    // Half of them so short that what was claimed before is still armed when it is claimed again.
    forMs: fc.oneof(fc.integer({ min: 1, max: 50 }), fc.integer({ min: 1, max: 3_000 }))
  }),
  Restore: fc.record({
    _tag: fc.constant("Restore"),
    atMs,
    losesMs: fc.integer({ min: 1_000, max: 12_000 }),
    forMs: fc.integer({ min: 1, max: 3_000 })
  })
}

export const faultTags = Object.keys(faultOf) as ReadonlyArray<FaultTag>

const faults: fc.Arbitrary<ReadonlyArray<Fault>> = fc
  .subarray([...faultTags], { minLength: 1 })
  .chain((tags) => fc.array(fc.oneof(...tags.map((tag) => faultOf[tag])), { maxLength: 16, size: "max" }))

const pause: fc.Arbitrary<PlannedPause> = fc.record({
  kind: fc.constantFrom(...kindNames),
  // While tasks are scheduled, or at any time.
  atMs: fc.oneof(fc.integer({ min: 0, max: 6_000 }), atMs),
  forMs
})

const clock: fc.Arbitrary<NodeClock> = fc.record({
  offsetMs: fc.oneof(fc.constant(0), fc.integer({ min: -60_000, max: 60_000 })),
  // What NTP lets pass, and a good deal more.
  rate: fc.oneof(
    fc.constant(1),
    fc.integer({ min: 98, max: 102 }).map((percent) => percent / 100)
  )
})

/** In the order in which they shrink: first the faults, whose number tells most. */
export const histories: fc.Arbitrary<History> = fc.record({
  faults,
  tasks: fc.array(task, { minLength: 1, maxLength: 20, size: "max" }),
  recurrences: plannedRecurrences,
  pauses: fc.array(pause, { maxLength: 1 }),
  clocks: fc.array(clock, { minLength: 1, maxLength: nodesMax, size: "max" }),
  reach: fc.constantFrom<Array<History["reach"]>>("fleet", "fleet", "fleet", "fleet", "process"),
  concurrency: fc.integer({ min: 1, max: 8 }),
  windowTasks: fc.constantFrom(1, 3, 100),
  preemption: fc.constantFrom(0, 0.01, 0.1),
  seed: fc.noShrink(fc.integer({ min: 0, max: 2 ** 31 - 1 }))
})

/** How far the database's clock steps, whichever way. */
export const clockStepMsMaxOf = ({ faults }: History): number =>
  faults.reduce((sum, fault) => sum + (fault._tag === "DatabaseClockJump" ? Math.abs(fault.byMs) : 0), 0)

/**
 * A step ahead of its clock ends leases in the database alone, and so does a failover that takes renewals; until they are renewed their
 * holders know nothing of it.
 */
export const leasesEndUnknown = ({ faults }: History, atMs: number): boolean =>
  faults.some(
    (fault) =>
      (fault._tag === "Failover" ||
        fault._tag === "Restore" ||
        (fault._tag === "DatabaseClockJump" && fault.byMs > 0)) &&
      atMs >= fault.atMs &&
      atMs < fault.atMs + leaseMsDefault
  )

/**
 * A step ahead of its clock ends attempts in the database alone. Whoever still waits for the answer to a start knows nothing of it, and calls
 * within the kind's time limit, while the task may have gone on to the next attempt: the outside refuses the smaller fence.
 */
export const attemptsEndUnknown = ({ faults }: History, atMs: number, timeoutMs: number): boolean =>
  faults.some(
    (fault) =>
      fault._tag === "DatabaseClockJump" && fault.byMs > 0 && atMs >= fault.atMs && atMs < fault.atMs + timeoutMs
  )

/** The history that belongs to a number. */
export const historyOf = (seed: number): History => {
  const [history] = fc.sample(histories, { seed, numRuns: 1 })
  if (history === undefined) throw new Error(`no history was drawn from seed ${seed}`)
  return history
}
