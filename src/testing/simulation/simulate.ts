import { type Duration, Effect, type Layer, Result } from "effect"
import type { KindPolicy } from "../../core/KindPolicy.ts"
import { namesOf } from "../../core/unknownName.ts"
import type { OptionsRejected } from "../../DuetimeError.ts"
import { durationMsOf, rejected, unknownOption } from "../../optionValues.ts"
import type { Draw } from "./Draw.ts"
import { failureText } from "./failureText.ts"
import { faultTags, isFaultTag, type SimulatedFault } from "./faultDraws.ts"
import { type Invariants, violationsIn } from "./judge.ts"
import type { Planned } from "./plan.ts"
import { historyOf, type PlannedHistory, type Ran, runPlanned, type Setup, type SimulatedNode } from "./runPlanned.ts"
import { shrinkPlanned } from "./shrinkPlanned.ts"
import { HandlerLeft, type Only, SimulationFailed, SimulationVoid } from "./SimulationError.ts"
import type { SimulatedServices } from "./userNode.ts"

export type SimulateOptions<E = never> = {
  /** The kinds that are scheduled, by the workload or by handlers. */
  readonly tasks: ReadonlyArray<{ readonly kind: string; readonly policy: KindPolicy }>
  /**
   * Their handlers, made by `kind.handle`, with the services they need. The layer is built anew in each life of each node, and its clock,
   * chance and scheduling are the simulation's: so Effect's `Random` is seeded. A function is given the node, with draws of its own.
   * What has to outlive a crash lies in `Ledger.table` and `Outside.service`. Async handlers (`handleAsync`) cannot be simulated.
   */
  readonly handlers:
    | Layer.Layer<never, E, SimulatedServices>
    | ((node: SimulatedNode) => Layer.Layer<never, E, SimulatedServices>)
  /** What one history schedules: a function of its seed, made of `plan`. At most 1,000 tasks. */
  readonly workload: (draw: Draw) => ReadonlyArray<Planned>
  /** What must be true of each history beside what duetime promises: by its sentence, a function that finds where it is not. */
  readonly invariants?: Invariants
  /** Number of the first history, 0 to 2^31 - 1; default 1. The others follow it. */
  readonly seed?: number
  /** Histories, 1 to 1,000,000; default 100. */
  readonly runs?: number
  /** 1 to 8; default 3. Each has an engine and a worker, and all have one database and one broker. */
  readonly nodes?: number
  /** Kinds of faults that may strike; default all, and clocks that are wrong. `[]` is a world without faults. */
  readonly faults?: ReadonlyArray<SimulatedFault>
  /** From the beginning of a history, so long faults strike; default 12 seconds, at most an hour. Schedule within it. */
  readonly chaos?: Duration.Input
  /** Afterwards every task must end within this time; default 10 minutes, at most a day. */
  readonly endWithin?: Duration.Input
  /** Share of all tasks that must succeed, 0 to 1, lest the run show nothing; default 0.3. */
  readonly succeededMin?: number
  /** Of the history with this seed, only these tasks and faults: what a failure says of a shrunk history. */
  readonly only?: Only
}

/** What a simulation that holds has seen. */
export type SimulationReport = {
  readonly runs: number
  readonly tasks: number
  readonly succeeded: number
  /** Steps of all fibers of all histories. */
  readonly steps: number
  readonly simulatedMs: number
  /** How often each kind of fault had an effect, and at which step: `CrashAtLeg@finish.reply`. */
  readonly fired: Readonly<Record<string, number>>
  /** Of each history: the same seed with the same code has the same. */
  readonly traceHashes: ReadonlyArray<number>
}

export type SimulationFailure = SimulationFailed | HandlerLeft | SimulationVoid | OptionsRejected

/**
 * Runs your handlers in a simulated cluster, history after history: the real engine, worker and client on a virtual clock, and nodes
 * that crash, freeze, lose answers and are cut off wherever the seed says. Each history is judged by what duetime promises and by your
 * invariants. The same seed takes the same steps each time.
 *
 * ```ts
 * it.effect("charges each invoice once", () =>
 *   simulate({
 *     tasks: [ChargeCard],
 *     handlers: chargeCards.pipe(Layer.provide(simulatedProvider)),
 *     workload: (draw) => draw.times(5, (n) => plan(ChargeCard, { invoice: `INV-${n}` }, { after: draw.integer(0, 5_000) })),
 *     invariants: { "each invoice is charged once": (outcome) => twice(charges.in(outcome)) }
 *   })
 * )
 * ```
 *
 * Fails with `SimulationFailed`, after the failing history was shrunk; `HandlerLeft` if a handler waits for what is not in the
 * simulation; `SimulationVoid` if the run shows nothing; `OptionsRejected`.
 */
export const simulate = <E>(options: SimulateOptions<E>): Effect.Effect<SimulationReport, SimulationFailure> =>
  Effect.gen(function* () {
    const { invariants, only, runs, seed, setup, succeededMin } = yield* Effect.fromResult(validated(options))
    const tally = { tasks: 0, succeeded: 0, steps: 0, simulatedMs: 0 }
    const fired: Record<string, number> = {}
    const traceHashes: Array<number> = []
    for (let number = seed; number < seed + runs; number++) {
      const history = onlyOf(historyOf(setup, number), only)
      const ran = yield* judged(setup, history, invariants)
      // Once for all: what a handler takes from the machine's clock or chance would make every replay another history.
      if (number === seed) yield* isSame(ran, runPlanned(setup, history), number)
      tally.tasks += ran.outcome.tasks.length
      tally.succeeded += ran.outcome.tasks.filter(({ stage }) => stage === "succeeded").length
      tally.steps += ran.stepsCount
      tally.simulatedMs += ran.simulatedMs
      for (const [name, count] of ran.fired) fired[name] = (fired[name] ?? 0) + count
      traceHashes.push(ran.traceHash)
      // So that a long run can be interrupted; a single history is run at once.
      if (runs > 1) yield* Effect.yieldNow
    }
    if (tally.succeeded < tally.tasks * succeededMin || tally.tasks === 0) {
      const reason = `only ${tally.succeeded} of ${tally.tasks} tasks succeeded, so little is shown. Give a workload whose tasks may succeed, or a smaller succeededMin`
      return yield* new SimulationVoid({ reason })
    }
    return { runs, ...tally, fired, traceHashes }
  })

const judged = (
  setup: Setup,
  history: PlannedHistory,
  invariants: Invariants
): Effect.Effect<Ran, SimulationFailed | HandlerLeft> =>
  Effect.suspend(() => {
    try {
      return judgedAtOnce(setup, history, invariants)
    } catch (cause) {
      return Effect.die(new Error(`the history of seed ${history.seed} could not be run and judged`, { cause }))
    }
  })

const judgedAtOnce = (
  setup: Setup,
  history: PlannedHistory,
  invariants: Invariants
): Effect.Effect<Ran, SimulationFailed | HandlerLeft> => {
  const ran = runPlanned(setup, history)
  if (ran.left !== null) {
    const { atMs, call } = ran.left
    const { attempt, kind, taskId, what } = call
    return Effect.fail(new HandlerLeft({ seed: history.seed, kind, what, taskId, attempt, atMs }))
  }
  const violations = violationsIn(ran, setup, history, invariants)
  if (violations.length === 0) return Effect.succeed(ran)
  const broken = new Set(violations.map(({ invariant }) => invariant))
  const shrunk = shrinkPlanned(history, (smaller) => {
    const again = runPlanned(setup, smaller)
    if (again.left !== null) return false
    return violationsIn(again, setup, smaller, invariants).some(({ invariant }) => broken.has(invariant))
  })
  const least = runPlanned(setup, shrunk)
  const left = violationsIn(least, setup, shrunk, invariants)
  const indices = (all: ReadonlyArray<{ readonly index: number }>) => all.map(({ index }) => index)
  return Effect.fail(
    new SimulationFailed({
      seed: history.seed,
      violations: left,
      only: { tasks: indices(shrunk.tasks), faults: indices(shrunk.faults) },
      text: failureText({ whole: history, shrunk, ran: least, violations: left, nodes: setup.nodes })
    })
  )
}

const isSame = (one: Ran, other: Ran, seed: number): Effect.Effect<void, SimulationVoid> => {
  if (one.traceHash === other.traceHash && one.stepsCount === other.stepsCount) return Effect.void
  const reason =
    `seed ${seed} took ${one.stepsCount} steps, and when it was run again ${other.stepsCount} other ones. Something in the workload, the ` +
    "handlers or their services comes from the machine's clock or chance, or is kept from one history to the next: use Clock and Random " +
    "of Effect, and keep what lasts in Ledger.table and Outside.service"
  return Effect.fail(new SimulationVoid({ reason }))
}

const onlyOf = (history: PlannedHistory, only: Only | undefined): PlannedHistory =>
  only === undefined
    ? history
    : {
        ...history,
        tasks: history.tasks.filter(({ index }) => only.tasks.includes(index)),
        faults: history.faults.filter(({ index }) => only.faults.includes(index))
      }

type Validated = {
  readonly setup: Setup
  readonly invariants: Invariants
  readonly seed: number
  readonly runs: number
  readonly succeededMin: number
  readonly only: Only | undefined
}

const names = namesOf<SimulateOptions>({
  tasks: true,
  handlers: true,
  workload: true,
  invariants: true,
  seed: true,
  runs: true,
  nodes: true,
  faults: true,
  chaos: true,
  endWithin: true,
  succeededMin: true,
  only: true
})
const onlyNames = namesOf<Only>({ tasks: true, faults: true })

const validated = <E>(options: SimulateOptions<E>): Result.Result<Validated, OptionsRejected> =>
  Result.gen(function* () {
    const unknown = unknownOption(options, names) ?? unknownOption(options.only ?? {}, onlyNames, "only")
    if (unknown !== null) return yield* Result.fail(unknown)
    const { faults = faultTags, handlers, invariants = {}, only, succeededMin = succeededMinDefault, tasks } = options
    const seed = yield* wholeOf("seed", options.seed ?? 1, 0, seedMax)
    const runs = yield* wholeOf("runs", options.runs ?? runsDefault, 1, runsMax)
    const nodes = yield* wholeOf("nodes", options.nodes ?? nodesDefault, 1, nodesMax)
    const chaosMs = yield* durationMsOf("chaos", options.chaos ?? chaosMsDefault, { minMs: 0, maxMs: chaosMsMax })
    const endLimits = { minMs: 1_000, maxMs: endWithinMsMax }
    const endWithinMs = yield* durationMsOf("endWithin", options.endWithin ?? endWithinMsDefault, endLimits)
    const noFault = faults.find((tag) => !isFaultTag(tag))
    if (noFault !== undefined) {
      return yield* Result.fail(rejected("faults", noFault, `Give some of ${faultTags.join(", ")}, or leave it out`))
    }
    if (!(succeededMin >= 0 && succeededMin <= 1)) {
      return yield* Result.fail(rejected("succeededMin", succeededMin, "Give a share from 0 to 1"))
    }
    if (tasks.length === 0) return yield* Result.fail(rejected("tasks", tasks, "Give the kinds that are scheduled"))
    if (only !== undefined && runs !== 1) {
      return yield* Result.fail(rejected("runs", runs, "Give 1, since only is about one history"))
    }
    return {
      setup: {
        policies: new Map(tasks.map(({ kind, policy }) => [kind, policy])),
        handlers: typeof handlers === "function" ? handlers : () => handlers,
        workload: options.workload,
        nodes,
        tags: faults,
        chaosMs,
        endWithinMs
      },
      invariants,
      seed,
      runs,
      succeededMin,
      only
    }
  })

const wholeOf = (field: string, value: number, min: number, max: number): Result.Result<number, OptionsRejected> =>
  Number.isInteger(value) && value >= min && value <= max
    ? Result.succeed(value)
    : Result.fail(rejected(field, value, `Give a whole number from ${min} to ${max}`))

const seedMax = 2 ** 31 - 1
const runsDefault = 100
const runsMax = 1_000_000
const nodesDefault = 3
const nodesMax = 8
const chaosMsDefault = 12_000
const chaosMsMax = 3_600_000
const endWithinMsDefault = 600_000
const endWithinMsMax = 86_400_000
const succeededMinDefault = 0.3
