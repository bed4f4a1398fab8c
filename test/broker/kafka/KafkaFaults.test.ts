import { afterAll, assert, beforeAll, describe, it } from "@effect/vitest"
import { Effect, Fiber, Queue, Redacted } from "effect"
import { Broker, type Subscription } from "../../../src/broker/Broker.ts"
import * as KafkaBroker from "../../../src/broker/kafka/KafkaBroker.ts"
import type { KafkaSettings } from "../../../src/broker/kafka/KafkaSettings.ts"
import { KafkaTopics } from "../../../src/broker/kafka/KafkaTopics.ts"
import { aMoment, dispatchOf, roomFor } from "../Broker.contract.ts"
import { authority } from "../../setup/certificates.ts"
import { onKafka } from "../../setup/kafka.ts"
import { settingsOf } from "./kafka.ts"
import { OwnKafka, user } from "./ownKafka.ts"

const dayMs = 86_400_000

const publishes = (settings: KafkaSettings) =>
  Effect.flatMap(Broker, (broker) => broker.publish([dispatchOf({ queue: "emails" })])).pipe(
    Effect.provide(KafkaBroker.layer(settings))
  )

describe("without a Kafka", () => {
  it.effect("the layer fails within seconds and says what could not be reached", () =>
    Effect.gen(function* () {
      const beganMs = realNowMs()
      const error = yield* Effect.flip(publishes(settingsOf("127.0.0.1:1")))
      assert.strictEqual(error._tag, "BrokerUnavailable")
      assert.include(error.message, "127.0.0.1:1")
      assert.isBelow(realNowMs() - beganMs, 15_000)
    })
  )

  it.effect("a certificate that cannot be read is refused, with its name", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(publishes(settingsOf("127.0.0.1:1", { ssl: { caFile: "/nowhere/ca.pem" } })))
      assert.strictEqual(error._tag, "BrokerRefused")
      assert.include(error.message, "/nowhere/ca.pem")
    })
  )
})

onKafka("a Kafka that is killed", () => {
  let kafka: OwnKafka
  beforeAll(async () => {
    kafka = new OwnKafka()
    await kafka.start()
  }, 60_000)
  afterAll(() => kafka.remove())

  const start = Effect.promise(() => kafka.start())
  const kill = Effect.promise(() => kafka.kill())
  const wiped = Effect.sync(() => kafka.wipe())
  const onIt = (settings: Partial<KafkaSettings> = {}) => KafkaBroker.layer(settingsOf(kafka.broker, settings))

  /** Publishes until it is answered, and takes until that comes: what an engine and a worker do. */
  const flows = Effect.fnUntraced(function* (subscription: Subscription) {
    const broker = yield* Broker
    const sent = dispatchOf({ queue: "emails" })
    const publish = Effect.gen(function* () {
      for (let repeat = 0; ; repeat++) {
        yield* Effect.ignore(broker.publish([{ ...sent, repeat, dispatchedAtMs: Date.now() }]))
        for (let moments = 0; moments < 20; moments++) yield* aMoment
      }
    })
    const take = Effect.gen(function* () {
      while (true) {
        const batch = yield* subscription.take(roomFor(100))
        yield* subscription.acknowledge(batch)
        if (batch.some(({ taskId }) => taskId === sent.taskId)) return
      }
    })
    yield* Effect.raceFirst(take, publish)
  })

  it.effect(
    "comes back, and dispatches flow again",
    () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const subscription = yield* broker.consume("emails")
        yield* flows(subscription)
        yield* kill
        const beganMs = realNowMs()
        const error = yield* Effect.flip(broker.publish([dispatchOf({ queue: "emails" })]))
        assert.strictEqual(error._tag, "BrokerUnavailable")
        assert.strictEqual((yield* Effect.flip(broker.lag("emails")))._tag, "BrokerUnavailable")
        assert.strictEqual((yield* Effect.flip(broker.tellStarted(["x"])))._tag, "BrokerUnavailable")
        assert.isBelow(realNowMs() - beganMs, 15_000)
        yield* start
        yield* flows(subscription)
        assert.isAbove((yield* KafkaTopics).status().consumers[0]?.rebuiltCount ?? 0, 0)
      }).pipe(Effect.scoped, Effect.provide(onIt())),
    60_000
  )

  it.effect(
    "loses everything, and dispatches flow again when topics may be made",
    () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const subscription = yield* broker.consume("emails")
        const hints = yield* broker.startedHints
        yield* flows(subscription)
        yield* flows(subscription)
        yield* kill
        yield* wiped
        yield* start
        yield* flows(subscription)
        yield* Effect.raceFirst(
          Effect.asVoid(Queue.take(hints)),
          Effect.forever(
            Effect.andThen(Effect.ignore(broker.tellStarted([dispatchOf({ queue: "x" }).fence.eventId])), aMoment)
          )
        )
      }).pipe(Effect.scoped, Effect.provide(onIt())),
    60_000
  )

  it.effect(
    "was away when a consumer joined, which waits and joins when it comes",
    () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        yield* kill
        const subscription = yield* broker.consume("emails")
        const taking = yield* Effect.forkChild(subscription.take(roomFor(1)), { startImmediately: true })
        assert.strictEqual((yield* KafkaTopics).status().consumers[0]?.assignedPartitions, 0)
        yield* start
        yield* Effect.raceFirst(
          Effect.asVoid(Fiber.join(taking)),
          Effect.forever(Effect.andThen(Effect.ignore(broker.publish([dispatchOf({ queue: "emails" })])), aMoment))
        )
      }).pipe(Effect.scoped, Effect.provide(onIt())),
    60_000
  )

  it.effect(
    "does not hear from a consumer whose node's clock was set back, which joins again",
    () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const subscription = yield* broker.consume("emails")
        yield* flows(subscription)
        const rebuilt = Effect.map(KafkaTopics, (topics) => topics.status().consumers[0]?.rebuiltCount ?? 0)
        const before = yield* rebuilt
        const rightNowMs = Date.now
        yield* Effect.acquireRelease(
          Effect.sync(() => (Date.now = () => rightNowMs() - dayMs)),
          () => Effect.sync(() => (Date.now = rightNowMs))
        )
        while ((yield* rebuilt) === before) yield* aMoment
        yield* flows(subscription)
      }).pipe(Effect.scoped, Effect.provide(onIt())),
    60_000
  )

  it.effect(
    "may be away when a program begins, which goes on without it until it is there",
    () =>
      Effect.gen(function* () {
        yield* kill
        yield* Effect.gen(function* () {
          const broker = yield* Broker
          const subscription = yield* broker.consume("emails")
          assert.strictEqual(
            (yield* Effect.flip(broker.publish([dispatchOf({ queue: "emails" })])))._tag,
            "BrokerUnavailable"
          )
          yield* start
          yield* flows(subscription)
        }).pipe(Effect.scoped, Effect.provide(onIt({ mayBeAway: true })))
      }),
    60_000
  )

  it.effect(
    "takes the right password through TLS, and a wrong password or authority ends it at once, though it may be away",
    () =>
      Effect.gen(function* () {
        const withPassword = (password: string) =>
          settingsOf(kafka.saslBroker, {
            mayBeAway: true,
            ssl: { caFile: kafka.caFile },
            sasl: { mechanism: "plain", username: user.username, password: Redacted.make(password) }
          })
        assert.deepStrictEqual(yield* publishes(withPassword(user.password)), ["Published"])
        const error = yield* Effect.flip(publishes(withPassword("wrong")))
        assert.strictEqual(error._tag, "BrokerRefused")
        const mechanism = yield* Effect.flip(
          publishes({
            ...withPassword("secret"),
            sasl: { mechanism: "scram-sha-512", username: "app", password: Redacted.make("secret") }
          })
        )
        assert.strictEqual(mechanism._tag, "BrokerRefused")
        const { caFile } = yield* authority
        for (const ssl of [{ caFile }, true]) {
          const stranger = yield* Effect.flip(publishes({ ...withPassword(user.password), ssl }))
          assert.strictEqual(stranger._tag, "BrokerRefused")
          assert.match(stranger.message, /certificate.*Check the SASL and TLS settings/)
        }
      }).pipe(Effect.scoped),
    60_000
  )
})

const realNowMs = () => Date.now()
