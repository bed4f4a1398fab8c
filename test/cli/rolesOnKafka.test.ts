import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { layerPostgres } from "../../src/layers.ts"
import { database } from "../setup/database.ts"
import { onKafka, uniqueName } from "../setup/kafka.ts"
import { environment, greet, logged, readiness, role, schedule, stageOf, until } from "./roleProcess.ts"
import { type Environment, runCli, runProcess } from "./runCli.ts"

/** Several processes start one after the other, on a machine that may be busy with other tests. */
const timeoutMs = 120_000

const succeeded = (id: string) => until(Effect.map(stageOf(id), (stage) => stage === "succeeded"))
const healthPort = (running: Effect.Success<ReturnType<typeof role>>) =>
  Effect.map(logged(running, /health port open.*port=(\d+)/), ([port = ""]) => port)

onKafka("duetime engine and worker", ({ brokers }) => {
  layer(database(), { excludeTestServices: true })("in processes of their own", (it) => {
    const kafka: Environment = {
      DUETIME_KAFKA_BROKERS: brokers,
      DUETIME_KAFKA_PREFIX: uniqueName("roles"),
      DUETIME_KAFKA_PARTITIONS: "2",
      DUETIME_HEALTH_PORT: "0"
    }

    it.effect(
      "need their topics, run what is due, and end with 0 when they are stopped",
      () =>
        Effect.gen(function* () {
          const env = { ...(yield* environment), ...kafka }
          const refused = yield* runProcess(["worker", "--tasks", greet], env)
          assert.match(refused.stderr, /TopicMissing: .*greetings.*"duetime topics ensure --queue greetings"/)
          assert.strictEqual(refused.status, 3)
          // What nobody serves any more keeps no engine from starting.
          const sql = yield* PgClient.PgClient
          yield* sql`INSERT INTO duetime.kind (name, policy) VALUES ('gone', '{"queue":"gone"}')`
          const made = yield* runCli(["topics", "ensure", "--queue", "greetings", "--queue", "slow"], env)
          assert.strictEqual(made.status, 0, made.stderr)

          const worker = yield* role(["worker", "--tasks", greet, "--concurrency", "5"], kafka)
          const engine = yield* role(["engine"], kafka)
          const [workerPort, enginePort] = [yield* healthPort(worker), yield* healthPort(engine)]
          yield* logged(worker, /worker serves.*kinds=greet,slow queues=greetings,slow/)
          yield* logged(engine, /Nobody serves the queue now, so the engine starts: TopicMissing: .*gone/)
          yield* Effect.all([logged(worker, /worker started/), logged(engine, /engine started/)])
          const id = yield* schedule("greet", "--payload", '{"name":"Ada"}')
          yield* succeeded(id)
          for (const port of [workerPort, enginePort]) {
            yield* until(Effect.map(readiness(port), ({ body }) => body.status === "ready"))
            assert.deepInclude((yield* readiness(port)).body.broker, { connected: true })
          }

          worker.kill("SIGTERM")
          engine.kill("SIGINT")
          const ended = yield* Effect.promise(() => Promise.all([worker.ended, engine.ended]))
          assert.deepStrictEqual(ended, [
            { status: 0, signal: null },
            { status: 0, signal: null }
          ])
        }),
      timeoutMs
    )

    it.effect(
      "make their topics themselves where that is allowed",
      () =>
        Effect.gen(function* () {
          const env = { ...kafka, DUETIME_KAFKA_PREFIX: uniqueName("made"), DUETIME_KAFKA_CREATE_TOPICS: "true" }
          const worker = yield* role(["worker", "--tasks", greet], env)
          yield* logged(worker, /worker started/)
          const { stdout } = yield* runCli(["topics", "list", "--queue", "greetings", "--json"], env)
          const topics = JSON.parse(stdout) as ReadonlyArray<{ readonly partitions: number }>
          assert.isTrue(topics.every(({ partitions }) => partitions > 0))
        }),
      timeoutMs
    )
  })
})

layer(database(), { excludeTestServices: true })("duetime engine and worker while Kafka is away", (it) => {
  it.effect(
    "start, run what is due, and are ready, though degraded",
    () =>
      Effect.gen(function* () {
        const away = { DUETIME_KAFKA_BROKERS: "127.0.0.1:1", DUETIME_HEALTH_PORT: "0" }
        yield* Effect.scoped(Effect.provide(Effect.void, layerPostgres({ migrate: true, unsafeDurability: true })))
        const worker = yield* role(["worker", "--tasks", greet], away)
        const engine = yield* role(["engine"], away)
        const [workerPort, enginePort] = [yield* healthPort(worker), yield* healthPort(engine)]
        yield* logged(worker, /topics of greetings, slow could not be looked at/)
        yield* Effect.all([logged(worker, /worker started/), logged(engine, /engine started/)])
        yield* succeeded(yield* schedule("greet", "--payload", '{"name":"Ada"}'))
        for (const port of [workerPort, enginePort]) {
          const { body, status } = yield* readiness(port)
          assert.deepStrictEqual([status, body.status, body.broker?.connected], [200, "degraded", false])
        }
        worker.kill("SIGTERM")
        assert.deepStrictEqual(yield* Effect.promise(() => worker.ended), { status: 0, signal: null })
      }),
    timeoutMs
  )
})
