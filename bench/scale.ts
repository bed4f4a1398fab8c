import { Effect, Layer } from "effect"
import { Duetime } from "../src/Duetime.ts"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { layerStore } from "../src/store/postgres/PgTaskStore.ts"
import { isOver, tallyOf } from "./kafka/history.ts"
import { nowMs, sleepUntil } from "./openLoop.ts"
import { intervalOf, median, ratiosOf, spreadOf } from "./peers/ratio.ts"
import { Progress } from "./progress.ts"
import { atLeast, atMost } from "./report.ts"
import { server, since, usageOf } from "./server.ts"
import { concurrencyPerWorker, countedKind, spawnEngine } from "./spawnEngine.ts"
import { violations } from "./violations.ts"

/**
 * What more engines bring: the same backlog of no-op tasks, all due at one instant, drained with complete history by one, two and four
 * engines, each with a worker, each in a process of its own with its dispatch inside, on one database. In rounds whose order is rotated, since
 * the machine is never quite the same twice. The time goes from the due instant to the last recorded outcome, by the database's clock.
 *
 * Every attempt must start exactly once, by the history and by what the handlers saw, and the history must pass the audit.
 */
export type ScaleOptions = {
  readonly engines: ReadonlyArray<number>
  readonly tasks: number
  readonly rounds: number
  readonly random: () => number
}

/** Of each process: code is compiled, plans are made, connections are open. */
const warmUpTasksEach = 2_000
/** Until all is stored: 10,000 tasks a second are scheduled even on a busy machine; and the look-ahead of 1.5 s twice. */
const leadMs = (tasks: number) => 3_000 + tasks / 10
const waitMsMax = 300_000
/** What nobody may call again would be called within this time, and what was called has been told. */
const afterMs = 500

export const scale = ({ engines, random, rounds, tasks }: ScaleOptions) => {
  const program = Effect.gen(function* () {
    const results = new Map(engines.map((count) => [count, new Array<Drained>()]))
    for (let round = 0; round < rounds; round++) {
      const first = round % engines.length
      for (const count of [...engines.slice(first), ...engines.slice(0, first)]) {
        const drained = yield* drainBy(count, tasks, `${count}-${round}`)
        process.stderr.write(`scale: ${count} engines, ${Math.round(drained.tasksPerSecond)} tasks/s\n`)
        results.get(count)?.push(drained)
      }
    }
    const found = yield* violations
    const of = (count: number) => results.get(count) ?? []
    const rates = (count: number) => of(count).map(({ tasksPerSecond }) => tasksPerSecond)
    const sum = (field: "startedTwice" | "calledTwice" | "missing") =>
      engines.flatMap(of).reduce((total, one) => total + one[field], 0)
    const pairs = engines.slice(1).map((count, index) => [engines[index] ?? 0, count] as const)
    const ratios = pairs.map(([from, to]) => [`${from} to ${to}`, ratiosOf(rates(to), rates(from))] as const)
    return {
      settings: { tasks, rounds, engines: engines.join(", "), warmUpTasksEach, concurrencyPerWorker },
      figures: {
        byEngines: Object.fromEntries(
          engines.map((count) => [
            String(count),
            { tasksPerSecond: spreadOf(rates(count)), lastRound: of(count).at(-1)?.cost }
          ])
        ),
        ratios: Object.fromEntries(ratios.map(([name, values]) => [name, intervalOf(values, random)])),
        violations: found
      },
      floors: [
        // More cores would show more; here they share two with the database.
        ...ratios
          .filter(([name]) => name === "2 to 4")
          .map(([name, values]) => atLeast(`tasks/s from ${name} engines, of those before`, 0.9, median(values))),
        atMost("attempts started twice, by the history", 0, sum("startedTwice")),
        atMost("attempts whose handler was called twice", 0, sum("calledTwice")),
        atMost("tasks missing", 0, sum("missing")),
        atMost("violations found by the audit", 0, found)
      ]
    }
  })
  return Effect.provide(
    program,
    Duetime.layer.pipe(Layer.provideMerge(layerStore({ migrate: true })), Layer.provideMerge(server))
  )
}

type Drained = Effect.Success<ReturnType<typeof drainBy>>

const drainBy = (count: number, tasks: number, name: string) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { url } = yield* EmbeddedPostgres
      const warm = countedKind(`bench.warm-up-${name}`)
      const drain = countedKind(`bench.scale-${name}`)
      const calls = new Map<string, number>()
      const progress = new Progress(`scale, ${count} engines`, tasks)
      const warmUpTasks = warmUpTasksEach * count
      const onCall = (call: string) => {
        calls.set(call, (calls.get(call) ?? 0) + 1)
        progress.at(Math.max(0, calls.size - warmUpTasks))
      }
      const children = yield* Effect.forEach(
        Array.from({ length: count }),
        () => spawnEngine(url, onCall, [[warm.kind, drain.kind]]),
        { concurrency: "unbounded" }
      )
      const ended = (kind: string) =>
        Effect.gen(function* () {
          while (!(yield* isOver([kind]))) yield* Effect.sleep(100)
        }).pipe(Effect.timeoutOption(waitMsMax))
      const many = (length: number, atMs: number) =>
        Array.from({ length }, () => ({ payload: { workMs: 0 }, at: atMs }))

      yield* warm.scheduleMany(many(warmUpTasks, Math.ceil(yield* nowMs)))
      yield* ended(warm.kind)
      yield* Effect.sleep(afterMs)
      const callsBefore = children.map((child) => child.calls())
      const cost = usageOf(children.map(({ processId }) => processId))

      const dueAtMs = Math.ceil(yield* nowMs) + leadMs(tasks)
      yield* drain.scheduleMany(many(tasks, dueAtMs))
      const before = yield* cost
      yield* sleepUntil(dueAtMs)
      yield* ended(drain.kind)
      yield* Effect.sleep(afterMs)
      const after = yield* cost
      for (const child of children) yield* child.stop
      progress.end()
      const tally = yield* tallyOf([drain.kind])
      return {
        tasksPerSecond: (tasks / (tally.lastOutcomeAtMs - tally.firstDueAtMs)) * 1_000,
        startedTwice: tally.startedTwice,
        calledTwice: [...calls.values()].filter((times) => times > 1).length,
        missing: tasks - tally.succeeded,
        cost: {
          callsOfEach: children.map((child, index) => child.calls() - (callsBefore[index] ?? 0)),
          ...since(before, after, tasks)
        }
      }
    })
  )
