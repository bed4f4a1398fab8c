import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Option, Redacted } from "effect"
import * as KafkaSettings from "../../../src/broker/kafka/KafkaSettings.ts"

const read = (env: Record<string, string>) => KafkaSettings.config.parse(ConfigProvider.fromEnv({ env }))

describe("the settings of Kafka", () => {
  it.effect("are none while no broker is named, whatever else is set", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read({ DUETIME_KAFKA_PARTITIONS: "nonsense" }), Option.none())
      assert.deepStrictEqual(yield* read({ DUETIME_KAFKA_BROKERS: "" }), Option.none())
    })
  )

  it.effect("take a user, whose password is not shown, and files for TLS", () =>
    Effect.gen(function* () {
      const settings = Option.getOrThrow(
        yield* read({
          DUETIME_KAFKA_BROKERS: "kafka:9092",
          DUETIME_KAFKA_SASL_MECHANISM: "scram-sha-512",
          DUETIME_KAFKA_SASL_USERNAME: "app",
          DUETIME_KAFKA_SASL_PASSWORD: "secret",
          DUETIME_KAFKA_TLS_CA: "/etc/ca.pem"
        })
      )
      assert.strictEqual(settings.sasl?.mechanism, "scram-sha-512")
      assert.strictEqual(settings.sasl?.username, "app")
      assert.strictEqual(settings.sasl && Redacted.value(settings.sasl.password), "secret")
      assert.notInclude(JSON.stringify(settings), "secret")
      assert.deepStrictEqual(settings.ssl, { caFile: "/etc/ca.pem" })
    })
  )

  it.effect("turn TLS on, and off again although a file is named", () =>
    Effect.gen(function* () {
      const on = Option.getOrThrow(yield* read({ DUETIME_KAFKA_BROKERS: "kafka:9092", DUETIME_KAFKA_TLS: "true" }))
      assert.strictEqual(on.ssl, true)
      const off = Option.getOrThrow(
        yield* read({ DUETIME_KAFKA_BROKERS: "kafka:9092", DUETIME_KAFKA_TLS: "false", DUETIME_KAFKA_TLS_CA: "ca.pem" })
      )
      assert.isUndefined(off.ssl)
    })
  )

  for (const [name, value] of [
    ["DUETIME_KAFKA_BROKERS", "kafka"],
    ["DUETIME_KAFKA_BROKERS", "kafka:9092,"],
    ["DUETIME_KAFKA_PREFIX", "due time"],
    ["DUETIME_KAFKA_PARTITIONS", "0"],
    ["DUETIME_KAFKA_REPLICATION", "2.5"],
    ["DUETIME_KAFKA_CREATE_TOPICS", "perhaps"],
    ["DUETIME_KAFKA_SESSION_TIMEOUT", "5 minutes"],
    ["DUETIME_KAFKA_SASL_MECHANISM", "gssapi"],
    ["DUETIME_KAFKA_TLS", "perhaps"]
  ] as const) {
    it.effect(`refuse ${name}=${value} and name the variable`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(read({ DUETIME_KAFKA_BROKERS: "kafka:9092", [name]: value }))
        assert.include(error.message, name)
      })
    )
  }

  it.effect("refuse a mechanism without a user", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(
        read({ DUETIME_KAFKA_BROKERS: "kafka:9092", DUETIME_KAFKA_SASL_MECHANISM: "plain" })
      )
      assert.include(error.message, "DUETIME_KAFKA_SASL_")
    })
  )
})
