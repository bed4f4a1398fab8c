import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Layer, Schema } from "effect"
import { AttemptObserver, Engine, Task, Worker } from "../src/index.ts"
import { layerPostgres } from "../src/layers.ts"
import { TaskStore } from "../src/store/TaskStore.ts"
import { Progress } from "./progress.ts"
import { atMost, Lateness } from "./report.ts"
import { server, since, usage } from "./server.ts"

/**
 * What an exactly-once effect costs. The same tasks with three handlers, in turns and in one run: one that does nothing, one that
 * writes a row by itself (it may be written twice), and one that writes it with `attempt.commit`. First drains of a backlog, then
 * an open loop at a steady rate.
 */
export type TransactionalOptions = {
  /** Of each drain. */
  readonly tasks: number
  readonly rounds: number
  readonly concurrency: number
  readonly ratePerSecond: number
  /** Of each open loop. */
  readonly seconds: number
  readonly random: () => number
}

const effects = ["nothing", "written", "committed"] as const
type EffectKind = (typeof effects)[number]

const payload = { n: Schema.Finite }
const warmUpTasks = 2_000
/** Between scheduling and due in the open loop. */
const aheadMs = 3_000

const taskOf = (effect: EffectKind, turn: string) => Task.define(`bench.${effect}-${turn}`, { payload })

const handlerOf = (effect: EffectKind, task: ReturnType<typeof taskOf>) => {
  switch (effect) {
    case "nothing":
      return task.handle(() => Effect.void)
    case "written":
      return task.handle((_, { taskId }) => PgClient.PgClient.use((sql) => write(sql, taskId)))
    case "committed":
      return task.handle((_, attempt) => attempt.commit((sql) => write(sql, attempt.taskId)))
  }
}

const write = (sql: Pick<PgClient.PgClient, "unsafe">, taskId: string) =>
  Effect.asVoid(sql.unsafe("INSERT INTO bench_effect (task_id) VALUES ($1::uuid)", [taskId]))

export const transactional = (options: TransactionalOptions) => {
  const { concurrency, random, ratePerSecond, rounds, seconds, tasks } = options
  /** Of the kind that runs; one kind runs at a time. */
  let watched = { kind: "", wanted: 0, started: 0, ended: 0, start: new Lateness(), end: new Lateness() }
  let allEnded = () => {}
  let offsetMs = () => 0
  const observer = AttemptObserver.of({
    started: ({ dueAtMs, kind, startedAtMs }) => {
      if (kind !== watched.kind) return
      watched.started++
      watched.start.record(startedAtMs - dueAtMs)
    },
    ended: ({ dueAtMs, kind }, stage) => {
      if (kind !== watched.kind || stage !== "succeeded") return
      watched.end.record(performance.timeOrigin + performance.now() + offsetMs() - dueAtMs)
      if (++watched.ended >= watched.wanted) allEnded()
    }
  })
  const watch = (kind: string, wanted: number) => {
    const done = Deferred.makeUnsafe<void>()
    allEnded = () => Deferred.doneUnsafe(done, Effect.void)
    watched = { kind, wanted, started: 0, ended: 0, start: new Lateness(), end: new Lateness() }
    return Deferred.await(done)
  }
  let startedTwice = 0
  const progress = new Progress("transactional", effects.length * (rounds * tasks + ratePerSecond * seconds))
  let total = 0

  const drain = Effect.fnUntraced(function* (effect: EffectKind, round: number, count: number) {
    const task = taskOf(effect, `drained-${round}`)
    yield* task.scheduleMany(Array.from({ length: count }, (_, n) => ({ payload: { n } })))
    yield* Effect.sleep(1_000)
    const ended = watch(task.kind, count)
    const before = yield* usage
    const fromMs = performance.now()
    yield* Layer.build(handlerOf(effect, task))
    yield* ended
    const tasksPerSecond = (count / (performance.now() - fromMs)) * 1_000
    startedTwice += watched.started - count
    progress.at((total += count))
    return { tasksPerSecond, ...since(before, yield* usage, count) }
  }, Effect.scoped)

  const openLoop = Effect.fnUntraced(function* (effect: EffectKind) {
    const task = taskOf(effect, "steady")
    yield* Layer.build(handlerOf(effect, task))
    const count = ratePerSecond * seconds
    const fromMs = performance.timeOrigin + performance.now() + aheadMs
    yield* task.scheduleMany(
      Array.from({ length: count }, (_, n) => ({
        payload: { n },
        at: Math.floor(fromMs + random() * seconds * 1_000)
      }))
    )
    const ended = watch(task.kind, count)
    const before = yield* usage
    yield* ended
    startedTwice += watched.started - count
    progress.at((total += count))
    return {
      start: watched.start.summary(),
      untilRecorded: watched.end.summary(),
      ...since(before, yield* usage, count)
    }
  }, Effect.scoped)

  const program = Effect.gen(function* () {
    const sql = yield* PgClient.PgClient
    offsetMs = (yield* TaskStore).clockOffsetMs
    yield* sql`CREATE TABLE bench_effect (task_id uuid NOT NULL)`
    for (const effect of effects) yield* drain(effect, 0, warmUpTasks)
    total = 0
    const drained = new Map<EffectKind, Array<Effect.Success<ReturnType<typeof drain>>>>(
      effects.map((one) => [one, []])
    )
    for (let round = 1; round <= rounds; round++) {
      for (const effect of effects) drained.get(effect)?.push(yield* drain(effect, round, tasks))
    }
    const steady: Partial<Record<EffectKind, Effect.Success<ReturnType<typeof openLoop>>>> = {}
    for (const effect of effects) steady[effect] = yield* openLoop(effect)
    progress.end()

    const [row] = yield* sql<{ readonly rows: number; readonly tasks: number }>`
      SELECT count(*)::int4 AS rows, count(DISTINCT task_id)::int4 AS tasks FROM bench_effect`
    const wanted = 2 * (warmUpTasks + rounds * tasks + ratePerSecond * seconds)
    const rates = (effect: EffectKind) => (drained.get(effect) ?? []).map(({ tasksPerSecond }) => tasksPerSecond)
    const ratios = (over: EffectKind, under: EffectKind) =>
      rates(over).map((rate, round) => rate / (rates(under)[round] ?? Number.NaN))
    return {
      settings: { tasks, rounds, concurrency, ratePerSecond, seconds, warmUpTasks, connections: 10 },
      figures: {
        drained: Object.fromEntries(
          effects.map((effect) => [
            effect,
            { medianTasksPerSecond: median(rates(effect)), ...drained.get(effect)?.at(-1) }
          ])
        ),
        throughputRatios: {
          committedToNothing: range(ratios("committed", "nothing")),
          committedToWritten: range(ratios("committed", "written"))
        },
        steady
      },
      floors: [
        atMost("started twice", 0, startedTwice),
        atMost("rows missing", 0, wanted - (row?.tasks ?? 0)),
        atMost("rows written twice", 0, (row?.rows ?? 0) - (row?.tasks ?? 0))
      ]
    }
  })
  const running = Engine.layer.pipe(
    Layer.provideMerge(Worker.layer({ concurrency })),
    Layer.provideMerge(Layer.succeed(AttemptObserver, observer)),
    Layer.provideMerge(layerPostgres({ migrate: true })),
    Layer.provideMerge(server)
  )
  return Effect.provide(program, running)
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0

const range = (values: ReadonlyArray<number>) => ({
  median: median(values),
  min: Math.min(...values),
  max: Math.max(...values)
})
