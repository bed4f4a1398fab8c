import { Effect } from "effect"
import { atMost, type Floor } from "../report.ts"
import { type Cell, costSince, inCell, warmUpTasks } from "./cell.ts"
import type { BenchTask, Rank } from "./contestant.ts"
import { type Contestant, type Contestants, nameOf, peers } from "./peers.ts"
import { aheadOf, interleaved, medianOf, overRounds, type Rounds, soundness } from "./rounds.ts"
import { drawRank, orderOf, tallyOf } from "./tally.ts"
import { drainOf } from "./throughput.ts"

/**
 * Everything due in one millisecond: scheduled ahead by another process, with priorities drawn beforehand where the peer has any, and
 * stored long before it is due. Times count from the instant.
 */
export type SpikeOptions = {
  readonly contestants: Contestants
  readonly rounds: number
  readonly tasks: number
  readonly limitSeconds: number
  /** duetime's own, to compare the last start with; null: measured before the spikes. */
  readonly drainedPerSecond: number | null
  readonly random: () => number
}

export type SpikeResult = Effect.Success<ReturnType<typeof spikeOf>>

/** Of duetime's worker: so many of the less urgent may have been handed out when a more urgent one could have been. */
const concurrency = 500

const spiked = (ranks: ReadonlyArray<Rank>, limitSeconds: number) => (cell: Cell) =>
  Effect.gen(function* () {
    const { counted, cost, contestant, warmUp, worker } = cell
    const { hasPriorities, needsRedis, spikeLeadMs } = peers[contestant.peer]
    const producer = yield* cell.producer
    yield* warmUp(warmUpTasks(contestant))
    yield* worker.ask({ ask: "serve", kind: "measured" })
    counted(ranks.length)
    const before = yield* cost
    const dueAtMs = Date.now() + spikeLeadMs
    const tasks = ranks.map((rank, n): BenchTask => ({ n, dueAtMs, rank: hasPriorities ? rank : null }))
    yield* producer.ask({ ask: "schedule", kind: "measured", tasks })
    const storedAheadMs = dueAtMs - Date.now()
    const limitMs = Math.max(0, storedAheadMs) + limitSeconds * 1_000
    const settled = yield* worker.ask(
      { ask: "settle", kind: "measured", wanted: tasks.length, limitMs },
      limitMs + 30_000
    )
    const after = yield* cost
    const starts = yield* worker.ask({ ask: "starts", kind: "measured" })
    const { firstAtMs, missing, startedTwice } = tallyOf(starts, tasks.length)
    const late = firstAtMs.map((atMs) => atMs - dueAtMs)
    const sorted = late.filter((ms) => !Number.isNaN(ms)).toSorted()
    const at = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN
    const { outOfOrder } = orderOf(starts, tasks, concurrency)
    return {
      firstMs: at(0),
      p50Ms: at(0.5),
      p99Ms: at(0.99),
      lastMs: at(1),
      settledMs: settled.isOver ? settled.settledAtMs - dueAtMs : null,
      ...(settled.isOver ? {} : { stopped: `after ${limitSeconds} s with ${settled.startedCount} tasks` }),
      ...(hasPriorities
        ? { outOfOrder, meanStartMsByPriority: meansOf(late, ranks) }
        : { outOfOrder: null, meanStartMsByPriority: null }),
      storedAheadMs,
      early: sorted.filter((ms) => ms < 0).length,
      missing,
      startedTwice,
      ...costSince(before, after, tasks.length, !needsRedis)
    }
  })

const meansOf = (late: Float64Array, ranks: ReadonlyArray<Rank>): ReadonlyArray<number> => {
  const sums = [0, 0, 0, 0]
  const counts = [0, 0, 0, 0]
  for (const [n, rank] of ranks.entries()) {
    const ms = late[n] ?? Number.NaN
    if (Number.isNaN(ms)) continue
    sums[rank] = (sums[rank] ?? 0) + ms
    counts[rank] = (counts[rank] ?? 0) + 1
  }
  return sums.map((sum, rank) => sum / (counts[rank] ?? Number.NaN))
}

/** Neighbours in the wrong order. */
const inversionsOf = (means: ReadonlyArray<number>): number =>
  means.filter((mean, rank) => rank > 0 && !(mean >= (means[rank - 1] ?? Number.NaN))).length

const spikeOf = (contestant: Contestant, ranks: ReadonlyArray<Rank>, limitSeconds: number) =>
  Effect.map(inCell(contestant, spiked(ranks, limitSeconds)), ({ remains, value }) => ({ ...value, ...remains }))

export type SpikeFigures = Effect.Success<ReturnType<typeof spike>>["figures"]

export const spike = (options: SpikeOptions) =>
  Effect.gen(function* () {
    const { contestants, limitSeconds, random, rounds: count, tasks } = options
    const [own] = contestants
    const drainedPerSecond = options.drainedPerSecond ?? (yield* drainOf(own, tasks, limitSeconds)).drainedPerSecond
    const ranks = Array.from({ length: tasks }, () => drawRank(random))
    const rounds = yield* interleaved(contestants, count, (contestant) => spikeOf(contestant, ranks, limitSeconds))
    return {
      settings: {
        tasks,
        rounds: count,
        limitSeconds,
        priorities: "1, 2, 3 and 4 tenths from critical to low, where the peer has priorities",
        producer: "a process of its own",
        drainedPerSecond: options.drainedPerSecond === null ? "measured in this run" : "given"
      },
      figures: {
        aheadOfDuetime: aheadOf(rounds, contestants, {
          "first start": { value: (one) => one.firstMs, more: false },
          p50: { value: (one) => one.p50Ms, more: false },
          p99: { value: (one) => one.p99Ms, more: false },
          "last start": { value: (one) => one.lastMs, more: false },
          "all settled": { value: (one) => one.settledMs, more: false }
        }),
        duetimeDrainedPerSecond: drainedPerSecond,
        contestants: Object.fromEntries(
          contestants.map((contestant) => [nameOf(contestant), figuresOf(rounds.of(contestant))])
        ),
        ...(Object.keys(rounds.failures).length === 0 ? {} : { failures: rounds.failures })
      },
      floors: floorsOf(rounds, own, (tasks / drainedPerSecond) * 1_000)
    }
  })

/** Medians over the rounds. */
const figuresOf = (results: ReadonlyArray<SpikeResult>) => {
  const { middle, runs, sum } = overRounds(results)
  const byPriority = ["critical", "high", "normal", "low"].map((name, rank) => [
    name,
    middle((one) => one.meanStartMsByPriority?.[rank] ?? null)
  ])
  return {
    ...runs,
    firstMs: middle((one) => one.firstMs),
    p50Ms: middle((one) => one.p50Ms),
    p99Ms: middle((one) => one.p99Ms),
    lastMs: middle((one) => one.lastMs),
    settledMs: middle((one) => one.settledMs),
    ...(results[0]?.outOfOrder === null
      ? { priorities: "none" }
      : { meanStartMs: Object.fromEntries(byPriority), outOfOrder: middle((one) => one.outOfOrder) }),
    storedAheadMs: middle((one) => one.storedAheadMs),
    early: sum((one) => one.early),
    missing: sum((one) => one.missing),
    startedTwice: sum((one) => one.startedTwice),
    cpuSecondsPer1000Tasks: middle((one) => one.cpuSecondsPer1000Tasks.all),
    walBytesPerTask: middle((one) => one.walBytesPerTask),
    commitsPerTask: middle((one) => one.commitsPerTask),
    deadTuplesPerTask: middle((one) => one.deadTuplesPerTask),
    buffersPerClaim: middle((one) => one.buffersPerClaim),
    residentMiB: middle((one) => one.residentMiB)
  }
}

const floorsOf = (rounds: Rounds<SpikeResult>, own: Contestant, drainMs: number): ReadonlyArray<Floor> => {
  const results = rounds.of(own)
  const { sum } = overRounds(results)
  return [
    atMost(
      "first start, ms",
      10,
      medianOf(rounds, own, (one) => one.firstMs)
    ),
    atMost(
      "last start, ms: 1.2 of what draining as many takes",
      1.2 * drainMs,
      medianOf(rounds, own, (one) => one.lastMs)
    ),
    // Strict order is not promised: lanes below have a floor, so that they never starve (docs/explain/dispatch.md).
    atMost(
      "priorities whose mean start is before that of a more urgent one",
      0,
      sum((one) => inversionsOf(one.meanStartMsByPriority ?? []))
    ),
    atMost("ms stored too late to be 10 s ahead", 0, Math.max(0, ...results.map((one) => 10_000 - one.storedAheadMs))),
    ...soundness(results, (one) => one.early)
  ]
}
