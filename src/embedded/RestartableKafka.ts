import { Effect, Exit, Scope } from "effect"
import * as fs from "node:fs"
import * as EmbeddedKafka from "./EmbeddedKafka.ts"

/**
 * For demos and tests of faults: a real Kafka that can be killed, robbed of its data and started again under the same address.
 * The scope stops it.
 */
export const make = Effect.fnUntraced(function* (
  options: EmbeddedKafka.EmbeddedKafkaOptions & { readonly dataDirectory: string }
) {
  const scope = yield* Effect.scope
  const begin = Effect.fnUntraced(function* (port?: number) {
    const life = yield* Scope.fork(scope)
    const all = port === undefined ? options : { ...options, port }
    return { life, running: yield* Scope.provide(EmbeddedKafka.make(all), life) }
  })
  let current = yield* begin()
  const { brokers, port } = current.running
  return {
    brokers,
    /** As of now. */
    get proxiedPorts() {
      return current.running.proxiedPorts
    },
    /** SIGKILL: nothing is written any more, nobody is told. */
    kill: Effect.suspend(() => {
      process.kill(current.running.processId, "SIGKILL")
      return Scope.close(current.life, Exit.void)
    }),
    /** Only while it is down. */
    wipe: Effect.sync(() => fs.rmSync(options.dataDirectory, { recursive: true, force: true })),
    start: Effect.map(
      Effect.suspend(() => begin(port)),
      (begun) => {
        current = begun
      }
    )
  }
})
