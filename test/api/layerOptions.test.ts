import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { layerDev, layerKafka, layerPostgres } from "../../src/index.ts"

/** JavaScript gives what the types forbid. */
const given = (options: object) => options as never

/** What is refused is refused before anybody is asked: this client can nothing. */
const nobody = Layer.succeed(PgClient.PgClient, given({}))

type Mistake = readonly [layer: string, Layer.Layer<never, unknown>, message: string]

const store = (options: object, message: string): Mistake => [
  "layerPostgres",
  Layer.effectDiscard(Effect.void).pipe(Layer.provide(layerPostgres(given(options))), Layer.provide(nobody)),
  message
]
const dev = (options: object, message: string): Mistake => [
  "layerDev",
  Layer.effectDiscard(Effect.void).pipe(Layer.provide(layerDev(given(options)))),
  message
]
const kafka = (options: object, message: string): Mistake => [
  "layerKafka",
  Layer.effectDiscard(Effect.void).pipe(Layer.provide(layerKafka(given(options)))),
  message
]
const at = { brokers: ["127.0.0.1:9"] }
const wholeDays = "Give a whole number from 1 to 30"

const mistakes: ReadonlyArray<Mistake> = [
  store({ retentionDay: 30 }, "retentionDay is given. There is no such option: did you mean retentionDays?"),
  store({ retentionDays: 0 }, `retentionDays is 0. ${wholeDays}`),
  store({ retentionDays: Number.NaN }, `retentionDays is NaN. ${wholeDays}`),
  store({ retentionDays: "30" }, `retentionDays is '30'. ${wholeDays}`),
  store({ leaseMs: 999 }, "leaseMs is 999. Give a whole number from 1000 to 300000"),
  store({ connectionsMax: 0 }, "connectionsMax is 0. Give a whole number from 1 to 1000"),
  store({ migrate: "yes" }, "migrate is 'yes'. Give true or false"),
  store({ broker: undefined, kafka: {} }, "kafka is given. There is no such option. The options are leaseMs"),
  dev({ folder: "/var/lib" }, "folder is given. There is no such option. The options are dataDirectory"),
  dev({ dataDirectory: "" }, "dataDirectory is ''. Give a text"),
  dev({ postgresSettings: "fsync=off" }, "postgresSettings is 'fsync=off'. Give an object"),
  dev({ store: { lease: 1 } }, "store.lease is given. There is no such option: did you mean leaseMs?"),
  dev({ store: 5 }, "store is 5. Give an object, whose fields are leaseMs"),
  kafka({}, "brokers is undefined. Give addresses"),
  kafka({ brokers: [] }, "brokers is []. Give addresses"),
  kafka({ brokers: "kafka-1:9092" }, "brokers is 'kafka-1:9092'. Give addresses"),
  kafka({ brokers: ["kafka-1"] }, "brokers is [ 'kafka-1' ]. Give addresses"),
  kafka({ ...at, broker: [] }, "broker is given. There is no such option: did you mean brokers?"),
  kafka({ ...at, prefix: "a b" }, "prefix is 'a b'. It must have 1 to 100 letters"),
  kafka({ ...at, partitions: 0.5 }, "partitions is 0.5. Give a whole number from 1 to 1000"),
  kafka({ ...at, replicationFactor: 11 }, "replicationFactor is 11. Give a whole number from 1 to 10"),
  kafka({ ...at, sessionTimeoutMs: 4 }, "sessionTimeoutMs is 4. Give a whole number from 1000 to 60000"),
  kafka({ ...at, ssl: "yes" }, "ssl is 'yes'. Give true, or paths of files"),
  kafka(
    { ...at, ssl: { ca: "/ca.pem" } },
    "ssl.ca is given. There is no such option. The options are caFile, certFile, keyFile"
  ),
  kafka(
    { ...at, sasl: { mechanism: "plain", username: "app", password: "hunter2" } },
    "sasl.password is no secret. Give it as Redacted.make(password) of effect"
  ),
  kafka({ ...at, sasl: { mechanism: "gssapi" } }, "sasl.mechanism is 'gssapi'. Give one of plain"),
  kafka({ ...at, sasl: true }, "sasl is true. Give an object, whose fields are mechanism")
]

describe("options of a layer that make no sense are refused before anything is started:", () => {
  it.effect.each(mistakes)("of %s, number %#", ([, layer, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.instanceOf(error, Error)
      assert.include(error.message, `ConfigInvalid: ${message}`)
      assert.notInclude(error.message, "hunter2")
    })
  )
})
