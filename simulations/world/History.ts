/**
 * What makes one history: its workload, its nodes, its faults, and the seed of everything else. fast-check draws it from one number
 * and shrinks it to what is needed for a failure. Each history draws its own subset of the kinds of faults (swarm).
 */
import * as fc from "fast-check"
import type { Fault, FaultTag } from "./Fault.ts"
import { operations, repeatableOperations } from "./Fault.ts"
import type { NodeClock } from "./Incarnation.ts"

export type PlannedTask = {
  readonly kind: "post" | "mail" | "alert"
  /** When the client schedules it. */
  readonly atMs: number
  readonly dueInMs: number
  readonly workMs: number
  /** Attempts that fail before one succeeds. */
  readonly failures: number
  /** After it was scheduled; null: never. */
  readonly cancelInMs: number | null
}

export type History = {
  /** Decides interleavings, ways and fates. */
  readonly seed: number
  /** Chance that a fiber loses its turn before an operation. */
  readonly preemption: number
  readonly clocks: ReadonlyArray<NodeClock>
  readonly concurrency: number
  readonly tasks: ReadonlyArray<PlannedTask>
  readonly faults: ReadonlyArray<Fault>
}

/** In which workload and faults lie; then everything heals. */
export const chaosMs = 12_000
export const nodesMax = 3
/** The client is the node after the last, and never crashes. */
export const clientNode = nodesMax

const task: fc.Arbitrary<PlannedTask> = fc.record({
  kind: fc.constantFrom("post", "mail", "alert"),
  atMs: fc.integer({ min: 0, max: 6_000 }),
  dueInMs: fc.integer({ min: 0, max: 5_000 }),
  workMs: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1_500 }), fc.constant(5_000)),
  failures: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.integer({ min: 1, max: 4 })),
  cancelInMs: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.integer({ min: 0, max: 6_000 }))
})

const node = fc.integer({ min: 0, max: nodesMax - 1 })
const caller = fc.integer({ min: 0, max: clientNode })
const atMs = fc.integer({ min: 0, max: chaosMs })
const forMs = fc.integer({ min: 10, max: 8_000 })
const nth = fc.integer({ min: 1, max: 8 })
const operation = fc.constantFrom(...operations)
const leg = fc.constantFrom<Array<"request" | "reply">>("request", "reply")

const faultOf: { readonly [Tag in FaultTag]: fc.Arbitrary<Fault> } = {
  Crash: fc.record({ _tag: fc.constant("Crash"), node, atMs, downMs: forMs }),
  CrashAtLeg: fc.record({ _tag: fc.constant("CrashAtLeg"), node, operation, leg, nth, downMs: forMs }),
  Pause: fc.record({ _tag: fc.constant("Pause"), node, atMs, forMs }),
  Lose: fc.record({ _tag: fc.constant("Lose"), node: caller, operation, leg, nth }),
  Delay: fc.record({ _tag: fc.constant("Delay"), node: caller, operation, leg, nth, forMs }),
  Duplicate: fc.record({
    _tag: fc.constant("Duplicate"),
    node: caller,
    operation: fc.constantFrom(...repeatableOperations),
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
  })
}

export const faultTags = Object.keys(faultOf) as ReadonlyArray<FaultTag>

const faults: fc.Arbitrary<ReadonlyArray<Fault>> = fc
  .subarray([...faultTags], { minLength: 1 })
  .chain((tags) => fc.array(fc.oneof(...tags.map((tag) => faultOf[tag])), { maxLength: 16, size: "max" }))

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
  clocks: fc.array(clock, { minLength: 1, maxLength: nodesMax, size: "max" }),
  concurrency: fc.integer({ min: 1, max: 8 }),
  preemption: fc.constantFrom(0, 0.01, 0.1),
  seed: fc.noShrink(fc.integer({ min: 0, max: 2 ** 31 - 1 }))
})

/** The history that belongs to a number. */
export const historyOf = (seed: number): History => {
  const [history] = fc.sample(histories, { seed, numRuns: 1 })
  if (history === undefined) throw new Error(`no history was drawn from seed ${seed}`)
  return history
}
