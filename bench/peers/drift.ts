import { Effect } from "effect"
import { Progress } from "../progress.ts"
import { atMost, type Floor, Lateness } from "../report.ts"
import { type Cell, costSince, inCell, warmUpTasks } from "./cell.ts"
import type { BenchTask } from "./contestant.ts"
import { type Contestant, type Contestants, nameOf, peers } from "./peers.ts"
import { aheadOf, interleaved, medianOf, overRounds, type Rounds, soundness } from "./rounds.ts"
import { tallyOf } from "./tally.ts"

/**
 * How late handlers are called. Open loop: each task is due at its own instant, drawn beforehand, whether or not those before it have
 * started. They are scheduled 5 to 20 s ahead by a process that does nothing else, out of order, so for at least the last
 * 5 s nobody is woken by somebody who schedules.
 */
export type DriftOptions = {
  readonly contestants: Contestants
  readonly rounds: number
  readonly ratePerSecond: number
  readonly seconds: number
  /** After the last is due. */
  readonly limitSeconds: number
  readonly random: () => number
}

const aheadMsMin = 5_000
const aheadMsMax = 20_000
/** The producer is given what it has to schedule so often. */
const sliceMs = 250

export type PlannedTask = {
  readonly n: number
  /** After the first instant of the plan. */
  readonly dueMs: number
  readonly scheduleMs: number
}

/** The same for every contestant: due instants, and when each is scheduled, in the order of scheduling. */
export const planOf = (ratePerSecond: number, seconds: number, random: () => number): ReadonlyArray<PlannedTask> =>
  Array.from({ length: ratePerSecond * seconds }, (_, n) => {
    const dueMs = aheadMsMax + Math.floor(random() * seconds * 1_000)
    return { n, dueMs, scheduleMs: dueMs - aheadMsMin - random() * (aheadMsMax - aheadMsMin) }
  }).toSorted((left, right) => left.scheduleMs - right.scheduleMs)

export type DriftResult = Effect.Success<ReturnType<typeof driftOf>>

const steady = (plan: ReadonlyArray<PlannedTask>, limitSeconds: number) => (cell: Cell) =>
  Effect.gen(function* () {
    const { counted, cost, contestant, warmUp, worker } = cell
    const producer = yield* cell.producer
    yield* warmUp(warmUpTasks(contestant))
    yield* worker.ask({ ask: "serve", kind: "measured" })
    counted(plan.length)
    const before = yield* cost
    const progress = new Progress(`${nameOf(contestant)} scheduled`, plan.length)
    const dueByNumber = new Float64Array(plan.length)
    const fromMs = Date.now() + sliceMs
    let given = 0
    let aheadMsLeast = aheadMsMax
    while (given < plan.length) {
      const untilMs = Date.now() + sliceMs - fromMs
      const batch: Array<BenchTask> = []
      for (let one = plan[given]; one !== undefined && one.scheduleMs <= untilMs; one = plan[++given]) {
        dueByNumber[one.n] = fromMs + one.dueMs
        batch.push({ n: one.n, dueAtMs: fromMs + one.dueMs, rank: null })
      }
      if (batch.length > 0) {
        yield* producer.ask({ ask: "schedule", kind: "measured", tasks: batch })
        aheadMsLeast = batch.reduce((least, { dueAtMs }) => Math.min(least, (dueAtMs ?? 0) - Date.now()), aheadMsLeast)
      }
      progress.at(given)
      yield* Effect.sleep(Math.max(0, fromMs + untilMs - Date.now()))
    }
    const lastDueAtMs = dueByNumber.reduce((last, one) => Math.max(last, one), 0)
    const limitMs = Math.max(0, lastDueAtMs - Date.now()) + limitSeconds * 1_000
    const settled = yield* worker.ask(
      { ask: "settle", kind: "measured", wanted: plan.length, limitMs },
      limitMs + 30_000
    )
    progress.end()
    const after = yield* cost
    const starts = yield* worker.ask({ ask: "starts", kind: "measured" })
    const { firstAtMs, missing, startedTwice } = tallyOf(starts, plan.length)
    const handler = new Lateness()
    for (const [n, atMs] of firstAtMs.entries()) {
      if (!Number.isNaN(atMs)) handler.record(atMs - (dueByNumber[n] ?? Number.NaN))
    }
    const recorded = new Lateness()
    for (const lateMs of starts.recordedLateMs ?? []) recorded.record(lateMs)
    return {
      ...handler.summary(),
      ...(starts.recordedLateMs === null ? {} : { recorded: recorded.summary() }),
      ...(settled.isOver
        ? {}
        : { stopped: `${limitSeconds} s after the last was due, with ${settled.startedCount} tasks` }),
      aheadMsLeast,
      missing,
      startedTwice,
      ...costSince(before, after, plan.length, !peers[contestant.peer].needsRedis)
    }
  })

const driftOf = (contestant: Contestant, plan: ReadonlyArray<PlannedTask>, limitSeconds: number) =>
  Effect.map(inCell(contestant, steady(plan, limitSeconds)), ({ remains, value }) => ({ ...value, ...remains }))

const limitsMs = { p50: 1.5, p99: 15 }
const percentiles = ["p50", "p90", "p99", "p999"] as const

export type DriftFigures = Effect.Success<ReturnType<typeof peersDrift>>["figures"]

export const peersDrift = (options: DriftOptions) =>
  Effect.gen(function* () {
    const { contestants, limitSeconds, random, ratePerSecond, rounds: count, seconds } = options
    const plan = planOf(ratePerSecond, seconds, random)
    const rounds = yield* interleaved(contestants, count, (contestant) => driftOf(contestant, plan, limitSeconds))
    return {
      settings: {
        ratePerSecond,
        seconds,
        rounds: count,
        limitSeconds,
        aheadMs: `${aheadMsMin} to ${aheadMsMax}`,
        start: "the call of the handler",
        producer: "a process of its own"
      },
      figures: {
        aheadOfDuetime: aheadOf(
          rounds,
          contestants,
          Object.fromEntries(
            [...percentiles, "max" as const].map((name) => [
              name,
              { value: (one: DriftResult) => one[name], more: false }
            ])
          )
        ),
        contestants: Object.fromEntries(
          contestants.map((contestant) => [nameOf(contestant), figuresOf(rounds.of(contestant))])
        ),
        ...(Object.keys(rounds.failures).length === 0 ? {} : { failures: rounds.failures })
      },
      floors: floorsOf(rounds, contestants)
    }
  })

/** Medians over the rounds; what must not happen is counted over all of them. */
const figuresOf = (results: ReadonlyArray<DriftResult>) => {
  const { middle, runs, sum } = overRounds(results)
  const [{ recorded } = {}] = results
  return {
    ...runs,
    p50: middle((one) => one.p50),
    p90: middle((one) => one.p90),
    p99: middle((one) => one.p99),
    p999: middle((one) => one.p999),
    max: middle((one) => one.max),
    ...(recorded === undefined ? {} : { recorded }),
    early: sum((one) => one.early),
    missing: sum((one) => one.missing),
    startedTwice: sum((one) => one.startedTwice),
    aheadMsLeast: middle((one) => one.aheadMsLeast),
    cpuSecondsPer1000Tasks: middle((one) => one.cpuSecondsPer1000Tasks.all),
    walBytesPerTask: middle((one) => one.walBytesPerTask),
    commitsPerTask: middle((one) => one.commitsPerTask),
    deadTuplesPerTask: middle((one) => one.deadTuplesPerTask),
    buffersPerClaim: middle((one) => one.buffersPerClaim),
    residentMiB: middle((one) => one.residentMiB)
  }
}

const floorsOf = (rounds: Rounds<DriftResult>, [own, ...others]: Contestants): ReadonlyArray<Floor> => {
  const tuned = others.filter(({ mode }) => mode !== "default")
  return [
    // Drift is the recorded start minus the due time; the handler is called one commit later. Both are held to the same.
    ...(["p50", "p99"] as const).flatMap((name) => [
      atMost(
        `${name} ms of the recorded start`,
        limitsMs[name],
        medianOf(rounds, own, (one) => one.recorded?.[name] ?? null)
      ),
      atMost(
        `${name} ms until the handler is called`,
        limitsMs[name],
        medianOf(rounds, own, (one) => one[name])
      )
    ]),
    ...percentiles.flatMap((name) => {
      const ranked = tuned
        .map((contestant) => ({ contestant, ms: medianOf(rounds, contestant, (one) => one[name]) }))
        .filter(({ ms }) => !Number.isNaN(ms))
        .toSorted((left, right) => left.ms - right.ms)
      const [best] = ranked
      return best === undefined
        ? []
        : [
            atMost(
              `${name} ms, at most that of the best tuned peer (${nameOf(best.contestant)})`,
              best.ms,
              medianOf(rounds, own, (one) => one[name])
            )
          ]
    }),
    ...soundness(rounds.of(own), (one) => one.early + (one.recorded?.early ?? 0))
  ]
}
