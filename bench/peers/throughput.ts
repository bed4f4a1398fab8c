import { Effect } from "effect"
import { atLeast, atMost, type Floor } from "../report.ts"
import { type Cell, costSince, inCell, warmUpTasks } from "./cell.ts"
import type { BenchTask } from "./contestant.ts"
import { type Contestant, type Contestants, isSlow, nameOf, peers } from "./peers.ts"
import { spreadOf } from "./ratio.ts"
import { aheadOf, interleaved, medianOf, ratioTo, type Rounds } from "./rounds.ts"
import { tallyOf } from "./tally.ts"

/**
 * A backlog of due no-op tasks, scheduled by the peer's bulk method and then drained, in one process with the server beside it. The
 * clock of the drain starts when serving the kind begins and stops when the last outcome is in the store. Process, connections and
 * server are warm by then: tasks of another kind have gone the same way.
 */
export type ThroughputOptions = {
  readonly contestants: Contestants
  readonly rounds: number
  readonly tasks: number
  /** For those that do well below 4,000 tasks/s. */
  readonly slowTasks: number
  /** Of the drain; then it is stopped and counted as far as it came. */
  readonly limitSeconds: number
  readonly random: () => number
}

export type ThroughputResult = Effect.Success<ReturnType<typeof drainOf>>

/**
 * All that is slow at first is over by then: the first 20,000 tasks of a process drain at 8,000 to 11,000/s, and later ones at 15,000 to
 * 20,000 (bench/kafka/throughput.ts), for a service that has run for two seconds is compiled.
 */
const fastWarmUpTasks = 20_000

/** Between scheduling and draining: what was written is flushed and looked at by the server meanwhile. */
const pauseMs = 1_000

const drained = (tasks: number, limitSeconds: number) => (cell: Cell) =>
  Effect.gen(function* () {
    const { counted, cost, contestant, warmUp, worker } = cell
    const { needsRedis } = peers[contestant.peer]
    const all = Array.from({ length: tasks }, (_, n): BenchTask => ({ n, dueAtMs: null, rank: null }))
    yield* warmUp(warmUpTasks(contestant, fastWarmUpTasks))
    counted(tasks)

    const beforeSchedule = yield* cost
    const { ms: scheduleMs } = yield* worker.ask({ ask: "schedule", kind: "measured", tasks: all })
    const afterSchedule = yield* cost
    yield* Effect.sleep(pauseMs)

    const beforeDrain = yield* cost
    yield* worker.ask({ ask: "serve", kind: "measured" })
    const limitMs = limitSeconds * 1_000
    const settled = yield* worker.ask({ ask: "settle", kind: "measured", wanted: tasks, limitMs }, limitMs + 30_000)
    const afterDrain = yield* cost
    const starts = yield* worker.ask({ ask: "starts", kind: "measured" })
    const { missing, started, startedTwice } = tallyOf(starts, tasks)
    const drain = costSince(beforeDrain, afterDrain, Math.max(1, started), !needsRedis)
    const schedule = costSince(beforeSchedule, afterSchedule, tasks, !needsRedis)
    const { isOver } = settled
    return {
      tasks,
      ...(isOver ? {} : { stopped: `after ${limitSeconds} s with ${settled.startedCount} tasks` }),
      scheduledPerSecond: (tasks / scheduleMs) * 1_000,
      drainedPerSecond: (started / settled.ms) * 1_000,
      cyclePerSecond: isOver ? (tasks / (scheduleMs + settled.ms)) * 1_000 : null,
      cpuSecondsPer1000Tasks: isOver ? schedule.cpuSecondsPer1000Tasks.all + drain.cpuSecondsPer1000Tasks.all : null,
      drainCpu: drain.cpuSecondsPer1000Tasks,
      walBytesPerTask:
        isOver && drain.walBytesPerTask !== null && schedule.walBytesPerTask !== null
          ? drain.walBytesPerTask + schedule.walBytesPerTask
          : null,
      lost: isOver ? missing : null,
      startedTwice
    }
  })

/** One run of one contestant, as `spike` needs it too. */
export const drainOf = (contestant: Contestant, tasks: number, limitSeconds: number) =>
  Effect.map(inCell(contestant, drained(tasks, limitSeconds)), ({ remains, value }) => ({ ...value, ...remains }))

export type ThroughputFigures = Effect.Success<ReturnType<typeof peersThroughput>>["figures"]

export const peersThroughput = (options: ThroughputOptions) =>
  Effect.gen(function* () {
    const { contestants, limitSeconds, random, rounds: count, slowTasks, tasks } = options
    const [own, ...others] = contestants
    const rounds = yield* interleaved(contestants, count, (contestant) =>
      drainOf(contestant, isSlow(contestant) ? slowTasks : tasks, limitSeconds)
    )
    const ratios = Object.fromEntries(
      others.map((other) => [
        nameOf(other),
        {
          drained: ratioTo(rounds, [own, other], (one) => one.drainedPerSecond, random),
          scheduled: ratioTo(rounds, [own, other], (one) => one.scheduledPerSecond, random),
          cycle: ratioTo(rounds, [own, other], (one) => one.cyclePerSecond, random),
          cpuSecondsPer1000Tasks: ratioTo(rounds, [own, other], (one) => one.cpuSecondsPer1000Tasks, random)
        }
      ])
    )
    return {
      settings: {
        tasks,
        slowTasks,
        rounds: count,
        limitSeconds,
        warmUp: `${fastWarmUpTasks} tasks of another kind (slow modes 500), at most 10 s`
      },
      figures: {
        aheadOfDuetime: aheadOf(rounds, contestants, {
          drained: { value: (one) => one.drainedPerSecond, more: true },
          scheduled: { value: (one) => one.scheduledPerSecond, more: true },
          cycle: { value: (one) => one.cyclePerSecond, more: true },
          "CPU seconds per 1,000 tasks": { value: (one) => one.cpuSecondsPer1000Tasks, more: false },
          "WAL per task": { value: (one) => one.walBytesPerTask, more: false }
        }),
        contestants: Object.fromEntries(
          contestants.map((contestant) => [nameOf(contestant), figuresOf(rounds.of(contestant))])
        ),
        duetimeTo: ratios,
        ...(Object.keys(rounds.failures).length === 0 ? {} : { failures: rounds.failures })
      },
      floors: floorsOf(rounds, contestants, ratios)
    }
  })

const figuresOf = (results: ReadonlyArray<ThroughputResult>) => {
  const spread = (value: (result: ThroughputResult) => number | null) => {
    const values = results.map(value).filter((one) => one !== null)
    return values.length === 0 ? null : spreadOf(values)
  }
  const sum = (value: (result: ThroughputResult) => number | null) =>
    results.reduce((total, one) => total + (value(one) ?? 0), 0)
  const stopped = results.flatMap((one) => (one.stopped === undefined ? [] : [one.stopped]))
  return {
    tasks: results[0]?.tasks ?? 0,
    ...(stopped.length === 0 ? {} : { stopped: stopped.join("; ") }),
    drainedPerSecond: spread((one) => one.drainedPerSecond),
    scheduledPerSecond: spread((one) => one.scheduledPerSecond),
    cyclePerSecond: spread((one) => one.cyclePerSecond),
    cpuSecondsPer1000Tasks: spread((one) => one.cpuSecondsPer1000Tasks),
    drainCpuSecondsPer1000Tasks: spread((one) => one.drainCpu.all),
    ofWhichServer: spread((one) => one.drainCpu.server),
    walBytesPerTask: spread((one) => one.walBytesPerTask),
    commitsPerTask: spread((one) => one.commitsPerTask),
    deadTuplesPerTask: spread((one) => one.deadTuplesPerTask),
    buffersPerClaim: spread((one) => one.buffersPerClaim),
    residentMiB: spread((one) => one.residentMiB),
    lost: sum((one) => one.lost),
    startedTwice: sum((one) => one.startedTwice)
  }
}

/** Ratios of the drains that the project promises (floors), and a rate on a quiet two-core machine. */
const ratioFloors: Readonly<Record<string, number>> = {
  "pg-boss fast": 0.45,
  "pg-boss batch-100": 0.9,
  "bullmq fast": 1.1,
  "effect-queue fast": 3.5
}

const floorsOf = (
  rounds: Rounds<ThroughputResult>,
  [own, ...others]: Contestants,
  ratios: Readonly<Record<string, { readonly drained: { readonly median: number } | null }>>
): ReadonlyArray<Floor> => [
  atLeast(
    "tasks/s drained with full history",
    8_000,
    medianOf(rounds, own, (one) => one.drainedPerSecond)
  ),
  ...others.map(nameOf).flatMap((name) => {
    const floor = ratioFloors[name]
    return floor === undefined
      ? []
      : [atLeast(`drained, of ${name}`, floor, ratios[name]?.drained?.median ?? Number.NaN)]
  }),
  atMost(
    "tasks lost",
    0,
    rounds.of(own).reduce((sum, one) => sum + (one.lost ?? Number.NaN), 0)
  ),
  atMost(
    "started twice",
    0,
    rounds.of(own).reduce((sum, one) => sum + one.startedTwice, 0)
  )
]
