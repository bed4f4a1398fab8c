import { Effect, Exit, Scope } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as EmbeddedKafka from "../../src/embedded/EmbeddedKafka.ts"

/** A real Kafka that can be killed, robbed of its data and started again under the same address. */
export type KafkaServer = {
  /** `host:port`, the same through all restarts. */
  readonly broker: string
  /** 0 while it is down. */
  readonly processId: () => number
  /** SIGKILL: nothing is written any more, nobody is told. */
  readonly kill: Effect.Effect<void>
  readonly start: Effect.Effect<void, unknown>
  /** Only while it is down. */
  readonly wipe: Effect.Effect<void>
}

/** Both compilers, as a server that runs for days has them. */
const jvmOptions = ["-XX:TieredStopAtLevel=4"]

/**
 * A node that was killed is not let in again before the session of its former life has ended: 9 s by default, in which this
 * cluster of one would be down. Measured: 13.7 s from the start to the first answer, and 5 s with these.
 */
const settings = { "broker.session.timeout.ms": 2_000, "broker.heartbeat.interval.ms": 500 }

export const make: Effect.Effect<KafkaServer, unknown, Scope.Scope> = Effect.gen(function* () {
  const home = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "duetime-bench-kafka-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  )
  const dataDirectory = join(home, "data")
  let port: number | undefined
  let running: { readonly scope: Scope.Closeable; readonly kafka: EmbeddedKafka.RunningKafka } | undefined

  const start = Effect.gen(function* () {
    const scope = yield* Scope.make()
    const kafka = yield* EmbeddedKafka.make({
      dataDirectory,
      jvmOptions,
      settings,
      ...(port === undefined ? {} : { port })
    }).pipe(
      Scope.provide(scope),
      Effect.onError(() => Scope.close(scope, Exit.void))
    )
    port = kafka.port
    running = { scope, kafka }
    return kafka
  })
  const close = Effect.suspend(() => {
    const closed = running
    running = undefined
    return closed === undefined ? Effect.void : Scope.close(closed.scope, Exit.void)
  })
  yield* Effect.addFinalizer(() => close)
  const first = yield* start

  return {
    broker: first.brokers,
    processId: () => running?.kafka.processId ?? 0,
    kill: Effect.andThen(
      Effect.sync(() => {
        if (running !== undefined) process.kill(running.kafka.processId, "SIGKILL")
      }),
      close
    ),
    start: Effect.asVoid(start),
    wipe: Effect.sync(() => rmSync(dataDirectory, { recursive: true, force: true }))
  }
})
