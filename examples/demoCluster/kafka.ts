import { Effect, Exit, Scope } from "effect"
import * as EmbeddedKafka from "../../src/embedded/EmbeddedKafka.ts"

/** Kafka in the run's folder, to be killed and started again on the same port. The scope stops it. */
export const startKafka = Effect.fnUntraced(function* (dataDirectory: string) {
  const scope = yield* Effect.scope
  const begin = Effect.fnUntraced(function* (port?: number) {
    const life = yield* Scope.fork(scope)
    const options = port === undefined ? { dataDirectory } : { dataDirectory, port }
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
    start: Effect.map(
      Effect.suspend(() => begin(port)),
      (begun) => {
        current = begun
      }
    )
  }
})
