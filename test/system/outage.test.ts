/**
 * Goal: a database that is not there yet, dies and comes back must cost time, never a task, and never the process.
 * Method: engine and worker are started before their database exists; it is then started, killed by SIGKILL in the
 * middle of the work, and started again on the same folder. The socket's folder is reached through a link, as an address
 * that stays the same while servers come and go.
 */
import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Fiber, Layer, Schema, Scope } from "effect"
import * as Exit from "effect/Exit"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { AuditTally } from "../../src/core/audit.ts"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import { Duetime, Engine, Task, Worker } from "../../src/index.ts"
import { layerFromEnv } from "../../src/layers.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"

const Work = Task.define("outage.work", {
  payload: { n: Schema.Finite },
  retry: { attemptsMax: 20, delay: { _tag: "Fixed", delayMs: 100 }, jitter: "none" }
})
const tasksCount = 300

describe("engine and worker", () => {
  it.live(
    "wait for a database that is not there, outlive its death, and finish every task",
    () =>
      Effect.scoped(
        Effect.gen(function* () {
          const folder = yield* Effect.acquireRelease(
            Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "outage-"))),
            (made) => Effect.sync(() => fs.rmSync(made, { recursive: true, force: true }))
          )
          fs.chmodSync(folder, 0o755)
          const link = path.join(folder, "socket")
          const dataDirectory = path.join(folder, "data")
          const done = new Set<number>()
          // Stopped after the engine and worker: they give back what they hold.
          const running: { stop: Effect.Effect<void> } = { stop: Effect.void }
          yield* Effect.addFinalizer(() => running.stop)

          const server = Effect.gen(function* () {
            const scope = yield* Scope.make()
            const server = yield* EmbeddedPostgres.make({ dataDirectory }).pipe(Scope.provide(scope))
            fs.rmSync(link, { force: true })
            fs.symlinkSync(server.socketDirectory, link)
            running.stop = Scope.close(scope, Exit.void)
            return server
          })

          const handler = Work.handle(({ n }) =>
            Effect.delay(
              Effect.sync(() => done.add(n)),
              5
            )
          )
          const stack = Layer.mergeAll(handler, Engine.layer).pipe(
            Layer.provideMerge(Worker.layer({ concurrency: 20 })),
            Layer.provideMerge(layerFromEnv),
            Layer.provide(
              ConfigProvider.layer(
                ConfigProvider.fromUnknown({
                  DUETIME_DATABASE_URL: `postgresql://postgres@localhost:5432/postgres?host=${encodeURIComponent(link)}`,
                  DUETIME_MIGRATE: "true",
                  DUETIME_LEASE: "2 seconds"
                })
              )
            )
          )
          const fiber = yield* Effect.forkScoped(Layer.build(stack))
          yield* Effect.sleep(500)
          assert.isUndefined(fiber.pollUnsafe(), "the program waits")

          const first = yield* server
          const context = yield* Fiber.join(fiber)
          const program = Effect.gen(function* () {
            const duetime = yield* Duetime
            const store = yield* TaskStore
            yield* duetime.scheduleMany(
              Work,
              Array.from({ length: tasksCount }, (_, n) => ({ payload: { n }, in: n * 10 }))
            )
            yield* Effect.sleep(800)
            process.kill(first.processId, "SIGKILL")
            yield* Effect.sleep(1_000)
            assert.isBelow(done.size, tasksCount)
            yield* running.stop
            yield* server
            let succeeded = 0
            while (succeeded < tasksCount) {
              yield* Effect.sleep(100)
              succeeded = (yield* store.find({ stage: "succeeded", limit: 1_000 })).tasks.length
            }
            const tally = new AuditTally()
            for (const stream of yield* store.streams(null, 1_000)) tally.check(stream)
            assert.deepStrictEqual([tally.streamsCount, tally.violationsCount], [tasksCount, 0])
            assert.strictEqual(done.size, tasksCount)
          })
          yield* Effect.provideContext(program, context)
        })
      ).pipe(Effect.timeout(100_000)),
    120_000
  )
})
