import { Effect } from "effect"
import { atLeast, atMost } from "../report.ts"
import { Cluster, costSince } from "./cluster.ts"
import { tallyOf } from "./history.ts"
import { nowMs, pile, sleepUntil, untilOver, warmUp } from "./load.ts"
import { bothOf, engineOnly, kindSpec, workerOf } from "./role.ts"

/**
 * Drains a backlog of no-op tasks, all due at one instant, with complete history: through an engine and worker in one
 * process, and through Kafka between an engine and a worker apart. Turn about in one run, since the machine is never quite the same twice.
 * The time goes from the due time to the last recorded outcome, both by the database's clock.
 */
export type KafkaThroughputOptions = {
  readonly tasks: number
  readonly concurrency: number
  readonly rounds: number
}

/** Through 4,000 a fresh broker still compiles itself: its first drain was a fifth slower than the next. */
const warmUpTasks = 20_000
const drainMsMax = 300_000

export const kafkaThroughput = ({ concurrency, rounds, tasks }: KafkaThroughputOptions) => {
  const round = (dispatch: "memory" | "kafka", index: number) =>
    Effect.gen(function* () {
      const cluster = yield* Cluster
      const queue = `${dispatch}-${index}`
      const warm = kindSpec(`bench.warm-up-${queue}`, { queue })
      const drain = kindSpec(`bench.drain-${queue}`, { queue })
      if (dispatch === "memory") yield* cluster.start(bothOf([warm, drain], concurrency), dispatch)
      else {
        yield* cluster.start(engineOnly)
        yield* cluster.start(workerOf([warm, drain], concurrency))
      }
      yield* warmUp(warm, { tasks: warmUpTasks, lateMsMax: Number.POSITIVE_INFINITY })
      const dueAtMs = Math.ceil(yield* nowMs) + scheduleMsMax(tasks)
      yield* pile(drain, tasks, dueAtMs)
      yield* sleepUntil(dueAtMs - 2_000)
      const before = yield* cluster.cost
      yield* sleepUntil(dueAtMs)
      yield* untilOver([drain.kind], drainMsMax)
      const cost = costSince(before, yield* cluster.cost, tasks)
      const tally = yield* tallyOf([drain.kind])
      return {
        dispatch,
        tasksPerSecond: (tasks / (tally.lastOutcomeAtMs - tally.firstDueAtMs)) * 1_000,
        missing: tasks - tally.succeeded,
        startedTwice: tally.startedTwice,
        cost
      }
    }).pipe(Effect.scoped)

  const program = Effect.gen(function* () {
    const cluster = yield* Cluster
    const turns = Array.from({ length: rounds }, (_, index) => [["memory", index] as const, ["kafka", index] as const])
    const all = yield* Effect.forEach(turns.flat(), ([dispatch, index]) =>
      Effect.tap(round(dispatch, index), ({ tasksPerSecond }) =>
        Effect.sync(() => process.stderr.write(`kafka-throughput: ${dispatch} ${Math.round(tasksPerSecond)} tasks/s\n`))
      )
    )
    const figuresOf = (dispatch: "memory" | "kafka") => {
      const own = all.filter((one) => one.dispatch === dispatch)
      const { cost } = own.at(-1) ?? { cost: {} }
      return {
        tasksPerSecond: median(own.map((one) => one.tasksPerSecond)),
        each: own.map((one) => Math.round(one.tasksPerSecond)).join(", "),
        ...cost
      }
    }
    const inProcess = figuresOf("memory")
    const throughKafka = figuresOf("kafka")
    const ratio = throughKafka.tasksPerSecond / inProcess.tasksPerSecond
    return {
      settings: { tasks, concurrency, rounds, warmUpTasks },
      figures: { inProcess, throughKafka, ratio },
      floors: [
        atLeast("tasks/s through Kafka, of those in process", 0.6, ratio),
        atMost(
          "tasks missing",
          0,
          all.reduce((sum, one) => sum + one.missing, 0)
        ),
        atMost(
          "attempts started twice",
          0,
          all.reduce((sum, one) => sum + one.startedTwice, 0)
        ),
        atMost("processes that ended by themselves", 0, cluster.crashes())
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(Cluster.layer))
}

/** At 5,000 a second, the slowest seen, and some more. */
const scheduleMsMax = (tasks: number) => 4_000 + tasks / 5

const median = (values: ReadonlyArray<number>): number => {
  const sorted = values.toSorted((left, right) => left - right)
  const middle = Math.floor(sorted.length / 2)
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
