import { Effect } from "effect"
import { atMost } from "../report.ts"
import { Cluster, costSince, type RoleProcess } from "./cluster.ts"
import { driftOf, startsOf, tallyOf } from "./history.ts"
import { arrive, nowMs, sleepUntil, soonMs, untilOver, warmUp } from "./load.ts"
import { engineOnly, kindSpec, workerOf } from "./role.ts"

/**
 * How late attempts start when the engine, Kafka and the worker are three processes. Then again with three workers that are
 * restarted one after the other, so that the consumer group rebalances six times: what is on its way to a worker that
 * goes is started by another, which pulls it, or waits until the engine publishes it again.
 */
export type KafkaDriftOptions = {
  readonly ratePerSecond: number
  readonly seconds: number
  readonly restartSeconds: number
  readonly random: () => number
}

const concurrency = 200
/** Of 400 tasks in 2 s: Kafka's second compiler is busy for some 20 s after its start. */
const warmUpRounds = 6
/** A start that nobody pulled would have waited at least so long for its next dispatch (engine/Dispatcher.ts). */
const republishAfterMs = 2_000

const steady = kindSpec("bench.steady")
const rolling = kindSpec("bench.rolling")
const warm = kindSpec("bench.warm-up")

export const kafkaDrift = ({ random, ratePerSecond, restartSeconds, seconds }: KafkaDriftOptions) => {
  const program = Effect.gen(function* () {
    const cluster = yield* Cluster
    const worker = cluster.start(workerOf([steady, rolling, warm], concurrency))
    yield* cluster.start(engineOnly)
    const workers = [yield* worker]
    yield* warmUp(warm, { roundsMin: warmUpRounds })
    const before = yield* cluster.cost
    yield* arrive({ spec: steady, ratePerSecond, seconds, random })
    yield* untilOver([steady.kind], 30_000)
    const cost = costSince(before, yield* cluster.cost, ratePerSecond * seconds)

    workers.push(...(yield* Effect.all([worker, worker], { concurrency: 2 })))
    yield* warmUp(warm)
    const fromMs = yield* soonMs
    const [restarts] = yield* Effect.all(
      [
        restartEach(workers, worker, fromMs, restartSeconds),
        arrive({ spec: rolling, ratePerSecond, seconds: restartSeconds, random, fromMs })
      ],
      { concurrency: 2 }
    )
    yield* untilOver([rolling.kind], 30_000)

    const steadyStarts = yield* startsOf([steady.kind])
    const rollingStarts = yield* startsOf([rolling.kind])
    const all = yield* tallyOf([steady.kind, rolling.kind])
    const drift = driftOf(steadyStarts)
    const rollingDrift = driftOf(rollingStarts)
    const pulled = rollingStarts.filter((start) => start.dispatchedAtMs === null)
    const meanPulledMs = pulled.reduce((sum, start) => sum + start.lateMs, 0) / Math.max(1, pulled.length)
    return {
      settings: { ratePerSecond, seconds, restartSeconds, concurrency },
      figures: {
        steady: drift,
        ...cost,
        rollingRestart: {
          restarts,
          ...rollingDrift,
          pull: {
            starts: pulled.length,
            share: pulled.length / Math.max(1, rollingStarts.length),
            savedMsPerStart: pulled.length === 0 ? 0 : republishAfterMs - meanPulledMs
          }
        }
      },
      floors: [
        atMost("p50 ms of the start", 8, drift.start.p50),
        atMost("p99 ms of the start", 40, drift.start.p99),
        atMost("early starts", 0, drift.start.early + rollingDrift.start.early),
        atMost("tasks missing", 0, ratePerSecond * (seconds + restartSeconds) - all.succeeded),
        atMost("attempts started twice", 0, all.startedTwice),
        atMost("processes that ended by themselves", 0, cluster.crashes())
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(Cluster.layer))
}

/** Each at its own share of the time, from SIGTERM to ready again. */
const restartEach = <E, R>(
  workers: ReadonlyArray<RoleProcess>,
  again: Effect.Effect<RoleProcess, E, R>,
  fromMs: number,
  seconds: number
) =>
  Effect.forEach(workers, (worker, index) =>
    Effect.gen(function* () {
      yield* sleepUntil(fromMs + ((index + 0.5) * seconds * 1_000) / (workers.length + 0.5))
      const stoppedAtMs = yield* nowMs
      yield* worker.stop
      const goneAtMs = yield* nowMs
      yield* again
      return { stopMs: goneAtMs - stoppedAtMs, startMs: (yield* nowMs) - goneAtMs }
    })
  )
