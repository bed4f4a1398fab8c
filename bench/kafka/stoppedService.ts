import { Effect } from "effect"
import type { Priority } from "../../src/core/Priority.ts"
import { defaults as engineDefaults } from "../../src/engine/EngineConfig.ts"
import { atLeast, atMost } from "../report.ts"
import { residentMiB } from "../server.ts"
import { Cluster, costSince } from "./cluster.ts"
import { type Start, startsOf, summaryOf, tallyOf } from "./history.ts"
import { arrive, type Arrivals, nowMs, sleepUntil, soonMs, untilOver, warmUp } from "./load.ts"
import { messagesOf } from "./observe.ts"
import { define, engineOnly, kindSpec, workerOf } from "./role.ts"

/**
 * A service that is down does not disturb the others, and its return does not melt it. Service A is killed when its tasks
 * begin to fall due; B runs on beside it, on the same engine, database and Kafka. Then A comes back, and the cap of its kind
 * sets the pace of the catch-up, the most urgent first.
 */
export type StoppedServiceOptions = {
  readonly tasks: number
  readonly seconds: number
  readonly startsPerSecondMax: number
  readonly random: () => number
}

const otherPerSecond = 100
const beforeSeconds = 20
const concurrency = 200
/** Of ten tasks of the stopped service. */
const mix: ReadonlyArray<Priority> = [
  "critical",
  "high",
  "high",
  "normal",
  "normal",
  "normal",
  "low",
  "low",
  "low",
  "low"
]

export const stoppedService = ({ random, seconds, startsPerSecondMax, tasks }: StoppedServiceOptions) => {
  const stopped = kindSpec("bench.stopped", { queue: "stopped", startsPerSecondMax })
  const warmStopped = kindSpec("bench.warm-up-stopped", { queue: "stopped" })
  const other = kindSpec("bench.other", { queue: "other" })
  const warmOther = kindSpec("bench.warm-up-other", { queue: "other" })
  const beside = (arrivals: Pick<Arrivals, "seconds" | "fromMs">) =>
    arrive({ spec: other, ratePerSecond: otherPerSecond, random, ...arrivals })

  const program = Effect.gen(function* () {
    const cluster = yield* Cluster
    const engine = yield* cluster.start(engineOnly)
    const serviceA = cluster.start(workerOf([stopped, warmStopped], concurrency))
    const workerA = yield* serviceA
    yield* cluster.start(workerOf([other, warmOther], concurrency))
    yield* warmUp(warmStopped)
    yield* warmUp(warmOther)
    const messages = yield* messagesOf(cluster.kafka.broker, stopped.queue)

    // All of A's tasks are stored before anything is measured, so that storing them does not count.
    const beforeFromMs = (yield* soonMs) + tasks / 4
    const stopAtMs = beforeFromMs + beforeSeconds * 1_000
    const backAtMs = stopAtMs + seconds * 1_000
    yield* define(stopped).scheduleMany(
      Array.from({ length: tasks }, (_, n) => ({
        payload: { n },
        at: Math.floor(stopAtMs + (n * seconds * 1_000) / tasks),
        priority: mix[Math.floor(random() * mix.length)]
      }))
    )
    const settledMs = (yield* nowMs) + 1_000
    const samples: Array<{ readonly atMs: number; readonly engineMiB: number; readonly messages: number }> = []
    const sample = Effect.gen(function* () {
      while (true) {
        samples.push({ atMs: yield* nowMs, engineMiB: residentMiB(engine.processId), messages: yield* messages })
        yield* Effect.sleep(1_000)
      }
    })
    const sampling = yield* Effect.forkScoped(sample)
    const stopping = Effect.andThen(sleepUntil(stopAtMs), workerA.kill)
    yield* Effect.all([stopping, beside({ seconds: beforeSeconds + seconds, fromMs: beforeFromMs })], {
      concurrency: 2
    })
    yield* sleepUntil(backAtMs)
    sampling.interruptUnsafe()

    const cappedSeconds = Math.ceil(tasks / startsPerSecondMax)
    const beforeCatchUp = yield* cluster.cost
    const [, , isOver] = yield* Effect.all(
      [serviceA, beside({ seconds: cappedSeconds }), untilOver([stopped.kind], 60_000 + cappedSeconds * 2_000)],
      { concurrency: 3 }
    )
    yield* untilOver([other.kind], 30_000)
    const cost = costSince(beforeCatchUp, yield* cluster.cost, tasks + cappedSeconds * otherPerSecond)

    const otherStarts = yield* startsOf([other.kind])
    const within = (fromMs: number, untilMs: number) =>
      summaryOf(otherStarts.filter(({ dueAtMs }) => dueAtMs >= fromMs && dueAtMs < untilMs))
    const before = within(beforeFromMs, stopAtMs)
    const during = within(stopAtMs, backAtMs)
    const afterwards = within(backAtMs, Number.POSITIVE_INFINITY)
    const starts = (yield* startsOf([stopped.kind])).filter(({ atMs }) => atMs >= backAtMs)
    const shares = sharesByTenth(starts)
    const pace = perSecond(starts)
    const tally = yield* tallyOf([stopped.kind, other.kind])
    const idle = samples.filter(({ atMs }) => atMs >= settledMs && atMs < stopAtMs)
    const down = samples.filter(({ atMs }) => atMs >= stopAtMs)
    const engineMiB = {
      before: median(idle.map((one) => one.engineMiB)),
      atTheEnd: median(down.slice(-10).map((one) => one.engineMiB)),
      most: Math.max(...down.map((one) => one.engineMiB))
    }
    const appended = (down.at(-1)?.messages ?? 0) - (idle.at(-1)?.messages ?? 0)
    const windowTasks = engineDefaults.windowTasksMin + engineDefaults.criticalTasksMax
    return {
      settings: { tasks, seconds, startsPerSecondMax, otherPerSecond, beforeSeconds, concurrency, mix: mix.join(" ") },
      figures: {
        otherBefore: before,
        otherWhileStopped: during,
        otherWhileCatchingUp: afterwards,
        stoppedServicesMessages: { appended, windowTasks },
        engineMiB,
        catchUp: { isOver, mostStartsInASecond: Math.max(0, ...pace), medianStartsInASecond: median(pace), ...cost },
        shareOfStartsByTenth: shares
      },
      floors: [
        atMost("messages of the stopped service in Kafka", windowTasks, appended),
        atMost("growth of the engine, MiB", 30, engineMiB.atTheEnd - engineMiB.before),
        atMost("p99 of the other service, of that before", 1.5, during.p99 / before.p99),
        // The bucket holds a tenth of a second, and starts come a little later than the claims that it counts.
        atMost("starts in a second of the catch-up", startsPerSecondMax * 1.15, Math.max(0, ...pace)),
        atLeast("share of critical ones in the first tenth of the catch-up", 0.75, shares.critical[0] ?? 0),
        atMost("tasks missing", 0, tally.missing),
        atMost("attempts started twice", 0, tally.startedTwice),
        atMost("processes that ended by themselves", 0, cluster.crashes())
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(Cluster.layer))
}

const sharesByTenth = (starts: ReadonlyArray<Start>) => {
  const size = Math.max(1, Math.ceil(starts.length / 10))
  const tenths = Array.from({ length: 10 }, (_, tenth) => starts.slice(tenth * size, (tenth + 1) * size))
  const sharesOf = (priority: Priority) =>
    tenths.map((part) => part.filter((start) => start.priority === priority).length / Math.max(1, part.length))
  return { critical: sharesOf("critical"), high: sharesOf("high"), normal: sharesOf("normal"), low: sharesOf("low") }
}

/** Starts in each second since the first. */
const perSecond = (starts: ReadonlyArray<Start>): ReadonlyArray<number> => {
  const counts: Array<number> = []
  for (const { atMs } of starts) {
    const second = Math.floor((atMs - (starts[0]?.atMs ?? 0)) / 1_000)
    counts[second] = (counts[second] ?? 0) + 1
  }
  return Array.from(counts, (count) => count ?? 0)
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0
