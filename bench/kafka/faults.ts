import { Effect } from "effect"
import { atMost } from "../report.ts"
import { Cluster, costSince } from "./cluster.ts"
import { violations } from "../violations.ts"
import { driftOf, startsOf, summaryOf, tallyOf } from "./history.ts"
import { arrive, nowMs, sleepUntil, soonMs, untilOver, warmUp } from "./load.ts"
import { engineOnly, kindSpec, workerOf } from "./role.ts"

/**
 * Kafka may fail in any way and costs latency only. Under load its process is killed three times and started again on its
 * data, and once more without them: no topic, no group, no offset is left. Then it is away for a while.
 */
export type KafkaFaultsOptions = {
  readonly tasks: number
  readonly ratePerSecond: number
  /** Kills that leave the data; the one that takes them comes after these. */
  readonly kills: number
  readonly outageSeconds: number
  readonly outageRatePerSecond: number
  readonly random: () => number
}

const concurrency = 100
const downMs = 2_000
const faulty = kindSpec("bench.faulty")
const away = kindSpec("bench.away")
const warm = kindSpec("bench.warm-up")

export const kafkaFaults = (options: KafkaFaultsOptions) => {
  const { kills, outageRatePerSecond, outageSeconds, random, ratePerSecond, tasks } = options
  const seconds = Math.round(tasks / ratePerSecond)
  const program = Effect.gen(function* () {
    const cluster = yield* Cluster
    const { kafka } = cluster
    for (const role of [engineOnly, engineOnly]) yield* cluster.start(role)
    const worker = cluster.start(workerOf([faulty, away, warm], concurrency))
    yield* Effect.all([worker, worker], { concurrency: 2 })
    yield* warmUp(warm)

    const before = yield* cluster.cost
    const fromMs = yield* soonMs
    const outage = (index: number) =>
      Effect.gen(function* () {
        yield* sleepUntil(fromMs + (0.05 + (0.8 * index) / (kills + 1)) * seconds * 1_000)
        const killedAtMs = yield* nowMs
        yield* kafka.kill
        if (index === kills) yield* kafka.wipe
        yield* sleepUntil(killedAtMs + downMs)
        yield* kafka.start
        const backAtMs = yield* nowMs
        // A kill in the middle of a recovery would be one long outage.
        yield* Effect.sleep(settleMs)
        return { killedAtMs, backAtMs }
      })
    const allOutages = Effect.forEach(
      Array.from({ length: kills + 1 }, (_, index) => index),
      outage
    )
    const [outages] = yield* Effect.all(
      [allOutages, arrive({ spec: faulty, ratePerSecond, seconds, random, fromMs })],
      {
        concurrency: 2
      }
    )
    const faultyIsOver = yield* untilOver([faulty.kind], 60_000)
    const cost = costSince(before, yield* cluster.cost, ratePerSecond * seconds)
    yield* warmUp(warm)

    const awayFromMs = yield* soonMs
    yield* sleepUntil(awayFromMs - 1_000)
    yield* kafka.kill
    yield* arrive({
      spec: away,
      ratePerSecond: outageRatePerSecond,
      seconds: outageSeconds,
      random,
      fromMs: awayFromMs
    })
    const awayIsOver = yield* untilOver([away.kind], 60_000)
    // Processes are stopped with Kafka there, as they would be.
    yield* kafka.start

    const starts = yield* startsOf([faulty.kind])
    const isDisturbed = (dueAtMs: number) =>
      outages.some(({ backAtMs, killedAtMs }) => dueAtMs >= killedAtMs - 500 && dueAtMs < backAtMs + settleMs)
    const disturbed = starts.filter(({ dueAtMs }) => isDisturbed(dueAtMs))
    const calm = starts.filter(({ dueAtMs }) => !isDisturbed(dueAtMs))
    const withoutKafka = driftOf(yield* startsOf([away.kind]))
    const tally = yield* tallyOf([faulty.kind, away.kind])
    const found = yield* violations
    const wanted = ratePerSecond * seconds + outageRatePerSecond * outageSeconds
    return {
      settings: {
        tasks,
        kills,
        ratePerSecond,
        seconds,
        downMs,
        outageSeconds,
        outageRatePerSecond,
        concurrency,
        engines: 2,
        workers: 2
      },
      figures: {
        calm: summaryOf(calm),
        aroundKills: driftOf(disturbed),
        // Of the tasks around the kills, calm ones included.
        ...cost,
        // Until the first start that was dispatched again.
        dispatchedAgainMs: outages
          .map(({ backAtMs }) =>
            Math.round(
              (starts.find(({ dispatchedAtMs }) => dispatchedAtMs !== null && dispatchedAtMs > backAtMs)?.atMs ??
                Number.POSITIVE_INFINITY) - backAtMs
            )
          )
          .join(", "),
        downMs: outages.map(({ backAtMs, killedAtMs }) => Math.round(backAtMs - killedAtMs)).join(", "),
        withoutKafka: { start: withoutKafka.start, pulled: withoutKafka.pulled },
        ended: { faultyIsOver, awayIsOver },
        attemptsPerTask: tally.attempts / Math.max(1, tally.scheduled)
      },
      floors: [
        atMost("tasks lost", 0, wanted - tally.succeeded),
        atMost("attempts started twice", 0, tally.startedTwice),
        atMost("violations found by the audit", 0, found),
        atMost("early starts", 0, summaryOf(starts).early + withoutKafka.start.early),
        atMost(
          "tasks not started while Kafka was away",
          0,
          outageRatePerSecond * outageSeconds - withoutKafka.start.count
        ),
        atMost("p99 ms of the start while Kafka was away", 1_000, withoutKafka.start.p99),
        atMost("processes that ended by themselves", 0, cluster.crashes())
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(Cluster.layer))
}

/** After Kafka is back: consumer groups have formed again by then. */
const settleMs = 8_000
