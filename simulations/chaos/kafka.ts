import { Effect, Exit, Scope } from "effect"
import * as fs from "node:fs"
import * as EmbeddedKafka from "../../src/embedded/EmbeddedKafka.ts"

/**
 * A node that was killed is not let in again before the session of its former life has ended: 9 s by default, in which this
 * cluster of one would be down.
 */
const settings = { "broker.session.timeout.ms": 2_000, "broker.heartbeat.interval.ms": 500 }

export type Kafka = Effect.Success<ReturnType<typeof startKafka>>

/** A real Kafka that can be killed, robbed of its data and started again under the same address. The scope stops it. */
export const startKafka = Effect.fnUntraced(function* (dataDirectory: string) {
  const scope = yield* Effect.scope
  const begin = Effect.fnUntraced(function* (port?: number) {
    const life = yield* Scope.fork(scope)
    const options = { dataDirectory, settings, ...(port === undefined ? {} : { port }) }
    return { life, running: yield* Scope.provide(EmbeddedKafka.make(options), life) }
  })
  let current = yield* begin()
  const { brokers, port } = current.running
  return {
    brokers,
    kill: Effect.suspend(() => {
      process.kill(current.running.processId, "SIGKILL")
      return Scope.close(current.life, Exit.void)
    }),
    /** Only while it is down. */
    wipe: Effect.sync(() => fs.rmSync(dataDirectory, { recursive: true, force: true })),
    start: Effect.map(
      Effect.suspend(() => begin(port)),
      (begun) => {
        current = begun
      }
    )
  }
})
