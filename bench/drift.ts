import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { Effect, Layer, Schema } from "effect"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { AttemptObserver, Engine, Task, Worker } from "../src/index.ts"
import { layerPostgres } from "../src/layers.ts"
import { TaskStore } from "../src/store/TaskStore.ts"
import { Progress } from "./progress.ts"
import { atMost, Lateness } from "./report.ts"
import { server, since, usage } from "./server.ts"

/**
 * How late attempts start. Open loop: tasks are scheduled a few seconds ahead at instants drawn beforehand, whether or not
 * the ones before have started, so nothing that runs late makes the next one wait (no coordinated omission).
 *
 * Lateness is taken twice: `start` is the instant stamped by the database in AttemptStarted, `handler` the instant at which
 * user code is called, by this process's clock corrected by the measured offset to the database's. Early is counted in both.
 */
export type DriftOptions = {
  readonly ratePerSecond: number
  readonly seconds: number
  readonly dueNowSeconds: number
  readonly random: () => number
}

const Tick = Task.define("bench.tick", { payload: { n: Schema.Finite } })
const DueNow = Task.define("bench.due-now", { payload: { n: Schema.Finite } })

/** Seconds between scheduling and due: longer than the look-ahead, so that claims do their work. */
const aheadSeconds = 3
/** Due-now tasks per second of the other process: rare enough that each meets an idle engine. */
export const dueNowPerSecond = 20
const warmUpTasks = 400

export const drift = (options: DriftOptions) => {
  const start = new Lateness()
  const handler = new Lateness()
  const dueNow = new Lateness()
  let offsetMs = () => 0
  const observer = AttemptObserver.of({
    started: ({ dueAtMs, kind, startedAtMs }, beganAtMs) => {
      const handlerLateMs = beganAtMs + offsetMs() - dueAtMs
      if (kind === DueNow.kind) return dueNow.record(handlerLateMs)
      if (!measuring) return
      start.record(startedAtMs - dueAtMs)
      handler.record(handlerLateMs)
    },
    ended: () => {}
  })
  let measuring = false

  const handlers = Layer.mergeAll(
    Tick.handle(() => Effect.void),
    DueNow.handle(() => Effect.void)
  )
  const running = Layer.mergeAll(handlers, Engine.layer).pipe(
    Layer.provideMerge(Worker.layer({ concurrency: 200 })),
    Layer.provideMerge(Layer.succeed(AttemptObserver, observer)),
    Layer.provideMerge(layerPostgres({ migrate: true })),
    Layer.provideMerge(server)
  )

  const inProcess = Effect.gen(function* () {
    const progress = new Progress("drift", options.ratePerSecond * options.seconds)
    const firstAtMs = (yield* nowMs) + aheadSeconds * 1_000 + 500
    const before = yield* usage
    for (let second = 0; second < options.seconds; second++) {
      const fromMs = firstAtMs + second * 1_000
      yield* sleepUntil(fromMs - aheadSeconds * 1_000)
      yield* Tick.scheduleMany(
        Array.from({ length: options.ratePerSecond }, (_, n) => ({
          payload: { n },
          at: Math.floor(fromMs + options.random() * 1_000)
        }))
      )
      progress.at(handler.count)
    }
    yield* waitUntil(() => handler.count >= options.ratePerSecond * options.seconds, (aheadSeconds + 30) * 1_000)
    progress.end()
    return since(before, yield* usage, options.ratePerSecond * options.seconds)
  })

  const program = Effect.gen(function* () {
    const store = yield* TaskStore
    offsetMs = store.clockOffsetMs
    yield* Tick.scheduleMany(Array.from({ length: warmUpTasks }, (_, n) => ({ payload: { n }, in: `${n * 5} millis` })))
    yield* Effect.sleep(warmUpTasks * 5 + 1_500)
    measuring = true
    const cost = yield* inProcess
    const { url } = yield* EmbeddedPostgres
    yield* otherProcess(url, options.dueNowSeconds * dueNowPerSecond)
    yield* waitUntil(() => dueNow.count >= options.dueNowSeconds * dueNowPerSecond, 30_000)
    const figures = {
      start: start.summary(),
      handler: handler.summary(),
      dueNowFromAnotherProcess: dueNow.summary(),
      ...cost
    }
    return {
      settings: {
        ratePerSecond: options.ratePerSecond,
        seconds: options.seconds,
        dueNowPerSecond,
        warmUpTasks,
        aheadSeconds
      },
      figures,
      // Drift is the recorded start minus the due time; the handler is called one commit later.
      floors: [
        atMost("p50 ms of the start", 1.5, figures.start.p50),
        atMost("p99 ms of the start", 15, figures.start.p99),
        atMost("p99 ms until the handler is called", 20, figures.handler.p99),
        atMost("early starts", 0, figures.start.early),
        atMost("early calls", 0, figures.handler.early),
        atMost("tasks missing", 0, options.ratePerSecond * options.seconds - figures.handler.count)
      ]
    }
  })
  return Effect.provide(program, running)
}

/** A process with no engine and no worker, as an application that only schedules. */
/** How the other process schedules. */
export type Way = "client" | "sql"

export const otherProcess = (url: string, count: number, way: Way = "client") =>
  Effect.callback<void, Error>((resume) => {
    const child = spawn(
      process.execPath,
      [new URL("./dueNowProducer.ts", import.meta.url).pathname, String(count), String(dueNowPerSecond), way],
      {
        env: { ...process.env, DUETIME_DATABASE_URL: url },
        stdio: ["ignore", "pipe", "inherit"]
      }
    )
    createInterface({ input: child.stdout }).on("line", () => {})
    child.once("exit", (code) =>
      resume(code === 0 ? Effect.void : Effect.fail(new Error(`the producer exited with ${code}`)))
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const nowMs = Effect.map(
  Effect.clockWith((clock) => clock.currentTimeNanos),
  (nanos) => Number(nanos) / 1e6
)

const sleepUntil = (atMs: number) => Effect.flatMap(nowMs, (now) => Effect.sleep(Math.max(0, atMs - now)))

const waitUntil = (holds: () => boolean, timeoutMs: number) =>
  Effect.gen(function* () {
    while (!holds()) yield* Effect.sleep(20)
  }).pipe(Effect.timeoutOption(timeoutMs))
