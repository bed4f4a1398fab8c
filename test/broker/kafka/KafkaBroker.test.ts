import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer, type Scope } from "effect"
import { Kafka, logLevel } from "kafkajs"
import { Broker, type Dispatch, type Subscription } from "../../../src/broker/Broker.ts"
import * as KafkaBroker from "../../../src/broker/kafka/KafkaBroker.ts"
import type { KafkaSettings } from "../../../src/broker/kafka/KafkaSettings.ts"
import { KafkaTopics } from "../../../src/broker/kafka/KafkaTopics.ts"
import { deadTopicOf, topicOf, topicsOf } from "../../../src/broker/kafka/topics.ts"
import { aMoment, brokerContract, dispatchOf, roomFor } from "../Broker.contract.ts"
import { onKafka } from "../../setup/kafka.ts"
import { settingsOf } from "./kafka.ts"

onKafka("KafkaBroker", ({ brokers: address }) => {
  brokerContract("KafkaBroker", Layer.orDie(KafkaBroker.layer(settingsOf(address))))

  /** Runs on topics of its own; `prefix` begins their names. */
  const on = <A, E>(
    settings: Partial<KafkaSettings>,
    run: (prefix: string, settings: KafkaSettings) => Effect.Effect<A, E, Broker | KafkaTopics>
  ) => {
    const all = settingsOf(address, settings)
    return Effect.provide(run(all.prefix, all), KafkaBroker.layer(all))
  }
  const asOperator = <A>(run: (admin: ReturnType<Kafka["admin"]>, kafka: Kafka) => Promise<A>) =>
    Effect.promise(async () => {
      const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING })
      const admin = kafka.admin()
      await admin.connect()
      return await run(admin, kafka).finally(() => admin.disconnect())
    })

  it.effect("whatever lies in a topic is skipped and counted, and what is good arrives", () =>
    on({ partitions: 1 }, (prefix) =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const topics = yield* KafkaTopics
        const good = [1, 2, 3].map(() => dispatchOf({ queue: "emails" }))
        yield* broker.publish(good.slice(0, 1))
        const garbage = ["", "dt\u0001", "dt\u0001no dispatch", "x".repeat(100_000), null]
        const others = ["hello", '{"type":"order"}', Buffer.from([0xff, 0xfe, 0]), "dt\u0002and more"]
        yield* asOperator(async (_admin, kafka) => {
          const producer = kafka.producer({ createPartitioner: () => () => 0 })
          await producer.connect()
          await producer.send({
            topic: topicOf(prefix, { queue: "emails", priority: "normal" }),
            messages: [...garbage, ...others].map((value) => ({ value }))
          })
          await producer.disconnect()
        })
        yield* broker.publish(good.slice(1))
        const subscription = yield* broker.consume("emails")
        assert.deepStrictEqual(idsOf(yield* takeAtLeast(subscription, 3)), idsOf(good))
        assert.deepStrictEqual(topics.status().skipped, {
          malformed: garbage.length,
          foreign: 3,
          "future-format": 1,
          overflow: 0
        })
      }).pipe(Effect.scoped)
    )
  )

  it.effect("messages compressed by others are read, whatever their codec, since the broker undoes it", () =>
    on({ partitions: 1 }, (prefix) =>
      Effect.gen(function* () {
        yield* (yield* KafkaTopics).ensure({ queues: ["emails"] })
        const configs = yield* asOperator((admin) =>
          admin.describeConfigs({
            includeSynonyms: false,
            resources: topicsOf(prefix, "emails").map((name) => ({ type: 2, name }))
          })
        )
        for (const { configEntries } of configs.resources) {
          const valueOf = (name: string) => configEntries.find(({ configName }) => configName === name)?.configValue
          assert.strictEqual(valueOf("compression.type"), "uncompressed")
          assert.strictEqual(valueOf("retention.ms"), "600000")
        }
      })
    )
  )

  it.effect("a missing topic is refused, and costs the others nothing but their first answer", () =>
    on({ createTopics: false }, () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        yield* (yield* KafkaTopics).ensure({ queues: ["emails"] })
        const batch = ["emails", "missing", "emails", "missing"].map((queue) => dispatchOf({ queue }))
        assert.deepStrictEqual(yield* broker.publish(batch), ["Published", "Refused", "Published", "Refused"])
        assert.deepStrictEqual(yield* broker.publish(batch), ["Published", "Refused", "Published", "Refused"])
        assert.deepStrictEqual(yield* broker.publish(batch.slice(1, 2)), ["Refused"])
      })
    )
  )

  it.effect("a topic that is deleted under a publisher is refused from then on", () =>
    on({ createTopics: false }, (prefix) =>
      Effect.gen(function* () {
        const broker = yield* Broker
        yield* (yield* KafkaTopics).ensure({ queues: ["emails", "payments"] })
        const batch = [dispatchOf({ queue: "emails" }), dispatchOf({ queue: "payments" })]
        assert.deepStrictEqual(yield* broker.publish(batch), ["Published", "Published"])
        yield* asOperator((admin) => admin.deleteTopics({ topics: [...topicsOf(prefix, "payments")] }))
        yield* eventually(broker.publish(batch), ["Published", "Refused"])
      })
    )
  )

  it.effect("check names the first topic that is missing or too narrow, and the way out", () =>
    on({ createTopics: false, partitions: 3 }, (prefix) =>
      Effect.gen(function* () {
        const topics = yield* KafkaTopics
        const missing = yield* Effect.flip(topics.check(["emails"]))
        assert.strictEqual(missing._tag, "TopicMissing")
        assert.include(missing.message, `${prefix}.emails.critical.v1`)
        assert.include(missing.message, "duetime topics ensure --queue emails")
        yield* topics.ensure({ queues: ["emails"], partitions: 1 })
        const narrow = yield* Effect.flip(topics.check(["emails"]))
        assert.strictEqual(narrow._tag, "TopicTooNarrow")
        assert.include(narrow.message, "has 1 partitions, 3 are configured")
        yield* topics.ensure({ queues: ["emails"] })
        yield* topics.check(["emails"])
      })
    )
  )

  it.effect("ensure makes what is missing, widens what is narrow, leaves the rest, and may be repeated by many", () =>
    on({ createTopics: false }, (prefix) =>
      Effect.gen(function* () {
        const { ensure } = yield* KafkaTopics
        const outcomes = (topics: Effect.Success<ReturnType<typeof ensure>>) => topics.map(({ outcome }) => outcome)
        const made = yield* ensure({ queues: ["emails"], partitions: 2 })
        assert.deepStrictEqual(
          made.map(({ topic }) => topic),
          [...topicsOf(prefix, "emails"), `${prefix}.started.v1`, `${prefix}.dead.v1`]
        )
        assert.deepStrictEqual(new Set(outcomes(made)), new Set(["Created"]))
        const again = yield* ensure({ queues: ["emails"], partitions: 2 })
        assert.deepStrictEqual(new Set(outcomes(again)), new Set(["Ready"]))
        const wider = yield* ensure({ queues: ["emails"], partitions: 4 })
        assert.deepStrictEqual(outcomes(wider), ["Extended", "Extended", "Extended", "Extended", "Ready", "Extended"])
        const narrower = yield* ensure({ queues: ["emails"], partitions: 1 })
        assert.deepStrictEqual(
          narrower.map(({ partitions }) => partitions),
          [4, 4, 4, 4, 1, 4]
        )
        yield* Effect.all(
          [1, 2, 3].map(() => ensure({ queues: ["payments"] })),
          { concurrency: "unbounded" }
        )
      })
    )
  )

  it.effect("several processes may make the same topics at the same time", () => {
    const settings = settingsOf(address)
    const publishes = Effect.flatMap(Broker, (broker) => broker.publish([dispatchOf({ queue: "emails" })])).pipe(
      Effect.provide(Layer.fresh(KafkaBroker.layer(settings)))
    )
    return Effect.gen(function* () {
      const answers = yield* Effect.all([publishes, publishes, publishes], { concurrency: "unbounded" })
      assert.deepStrictEqual(answers.flat(), ["Published", "Published", "Published"])
    })
  })

  it.effect("too many copies for the cluster is an error that says so", () =>
    on({ createTopics: false }, () =>
      Effect.gen(function* () {
        const { ensure } = yield* KafkaTopics
        const error = yield* Effect.flip(ensure({ queues: ["emails"], replicationFactor: 3 }))
        assert.match(error.message, /replication/i)
      })
    )
  )

  it.effect("a consumer waits for topics that are missing and joins when somebody makes them", () =>
    on({ createTopics: false }, () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const topics = yield* KafkaTopics
        const subscription = yield* broker.consume("emails")
        yield* until(() => (topics.status().consumers[0]?.rebuiltCount ?? 0) > 0)
        yield* topics.ensure({ queues: ["emails"] })
        const sent = dispatchOf({ queue: "emails" })
        yield* broker.publish([sent])
        assert.deepStrictEqual(idsOf(yield* subscription.take(roomFor(10))), idsOf([sent]))
      }).pipe(Effect.scoped)
    )
  )

  it.effect("a consumer whose topics are deleted is made anew, and dispatches flow again", () =>
    on({}, (prefix) =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const topics = yield* KafkaTopics
        const subscription = yield* broker.consume("emails")
        yield* broker.publish([dispatchOf({ queue: "emails" })])
        yield* subscription.acknowledge(yield* subscription.take(roomFor(10)))
        yield* asOperator((admin) => admin.deleteTopics({ topics: [...topicsOf(prefix, "emails")] }))
        yield* until(() => (topics.status().consumers[0]?.rebuiltCount ?? 0) > 0)
        yield* Effect.raceFirst(
          Effect.asVoid(subscription.take(roomFor(10))),
          Effect.forever(Effect.andThen(Effect.ignore(broker.publish([dispatchOf({ queue: "emails" })])), aMoment))
        )
      }).pipe(Effect.scoped)
    )
  )

  it.effect("a repeated hint takes another partition than the first", () =>
    on({ partitions: 4 }, (prefix) =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const sent = dispatchOf({ queue: "emails" })
        yield* broker.publish([0, 1, 2, 3].map((repeat) => ({ ...sent, repeat })))
        const offsets = yield* asOperator((admin) =>
          admin.fetchTopicOffsets(topicOf(prefix, { queue: "emails", priority: "normal" }))
        )
        // A request that is repeated while leaders are elected publishes more than once.
        assert.isTrue(offsets.length === 4 && offsets.every(({ high }) => Number(high) >= 1))
      })
    )
  )

  it.effect("what one publish has for one partition is one message, and counts as what is in it", () =>
    on({ partitions: 4 }, (prefix) =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const subscription = yield* broker.consume("emails")
        // The first publish learns how many partitions there are.
        const first = dispatchOf({ queue: "emails" })
        yield* broker.publish([first])
        yield* subscription.acknowledge(yield* takeAtLeast(subscription, 1))
        yield* eventually(broker.lag("emails"), { critical: 0, high: 0, normal: 0, low: 0 })
        const messagesOf = asOperator((admin) =>
          admin.fetchTopicOffsets(topicOf(prefix, { queue: "emails", priority: "normal" }))
        ).pipe(Effect.map((offsets) => offsets.reduce((sum, { high }) => sum + Number(high), 0)))
        const before = yield* messagesOf
        const batch = Array.from({ length: 200 }, () => dispatchOf({ queue: "emails" }))
        yield* broker.publish(batch)
        assert.isAtMost((yield* messagesOf) - before, 2 * 4)
        const received = yield* takeAtLeast(subscription, batch.length)
        yield* subscription.acknowledge(received.slice(0, -1))
        assert.isAtLeast((yield* broker.lag("emails")).normal, 1)
        yield* subscription.acknowledge(received.slice(-1))
        yield* eventually(broker.lag("emails"), { critical: 0, high: 0, normal: 0, low: 0 })
      }).pipe(Effect.scoped)
    )
  )

  it.effect("the trace of the publishing engine travels with its dispatches", () =>
    on({}, () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const subscription = yield* broker.consume("emails")
        const span = yield* Effect.currentSpan.pipe(
          Effect.tap(() => broker.publish([dispatchOf({ queue: "emails" })])),
          Effect.withSpan("engine")
        )
        const [received] = yield* subscription.take(roomFor(1))
        assert.strictEqual(received?.traceparent, `00-${span.traceId}-${span.spanId}-01`)
      }).pipe(Effect.scoped)
    )
  )

  it.effect("a session timeout that the cluster refuses is replaced by Kafka's own default", () =>
    on({ sessionTimeoutMs: 301 }, () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const subscription = yield* broker.consume("emails")
        const sent = dispatchOf({ queue: "emails" })
        yield* broker.publish([sent])
        assert.deepStrictEqual(idsOf(yield* subscription.take(roomFor(1))), idsOf([sent]))
      }).pipe(Effect.scoped)
    )
  )

  it.effect("dead letters lie in a topic of their own, keyed by the task, without payload", () =>
    on({}, (prefix) =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const letter = {
          taskId: dispatchOf({ queue: "any" }).taskId,
          version: 9,
          kind: "reminder.email",
          priority: "high",
          attempt: 5,
          deadAtMs: 1_700_000_000_000,
          reason: "exhausted",
          errorName: "SmtpError"
        } as const
        yield* broker.announceDead([letter])
        const [key, value] = yield* asOperator(async (_admin, kafka) => {
          const consumer = kafka.consumer({ groupId: `${prefix}.reader` })
          await consumer.connect()
          await consumer.subscribe({ topic: deadTopicOf(prefix), fromBeginning: true })
          const read = Promise.withResolvers<readonly [string, string]>()
          await consumer.run({
            eachMessage: async ({ message }) => read.resolve([String(message.key), String(message.value)])
          })
          return await read.promise.finally(() => consumer.disconnect())
        })
        assert.strictEqual(key, letter.taskId)
        assert.deepStrictEqual(JSON.parse(value), { v: 1, ...letter })
      })
    )
  )

  it.effect("what no worker takes in time is dropped and acknowledged, and what follows is taken", () =>
    on({}, () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const subscription = yield* broker.consume("emails")
        yield* broker.publish(Array.from({ length: 300 }, () => dispatchOf({ queue: "emails" })))
        yield* eventually(broker.lag("emails"), { critical: 0, high: 0, normal: 0, low: 0 })
        const taking = yield* Effect.forkChild(subscription.take(roomFor(10)), { startImmediately: true })
        const sent = dispatchOf({ queue: "emails" })
        yield* broker.publish([sent])
        assert.deepStrictEqual(idsOf(yield* Fiber.join(taking)), idsOf([sent]))
      }).pipe(Effect.scoped)
    )
  )

  it.effect("when one of two processes leaves, the other gets what it held, and all that follows", () => {
    const settings = settingsOf(address, { partitions: 4 })
    const inProcess = <A, E>(run: Effect.Effect<A, E, Broker | KafkaTopics | Scope.Scope>) =>
      Effect.provide(Effect.scoped(run), Layer.fresh(KafkaBroker.layer(settings)))
    const halfAssigned = Effect.flatMap(KafkaTopics, (topics) =>
      until(() => topics.status().consumers[0]?.assignedPartitions === 8)
    )
    const fresh = () => Array.from({ length: 40 }, () => dispatchOf({ queue: "emails" }))
    const [first, second] = [fresh(), fresh()]
    return inProcess(
      Effect.gen(function* () {
        const broker = yield* Broker
        const staying = yield* broker.consume("emails")
        const received = new Set<string>()
        const taking = yield* Effect.forkChild(
          Effect.gen(function* () {
            while ([...first, ...second].some(({ taskId }) => !received.has(taskId))) {
              const batch = yield* staying.take(roomFor(100))
              for (const { taskId } of batch) received.add(taskId)
              yield* staying.acknowledge(batch)
            }
          })
        )
        const held = yield* inProcess(
          Effect.gen(function* () {
            const leaving = yield* Effect.flatMap(Broker, (other) => other.consume("emails"))
            yield* halfAssigned
            const takes = yield* Effect.forkChild(leaving.take(roomFor(100)), { startImmediately: true })
            yield* broker.publish(first)
            return yield* Fiber.join(takes)
          })
        )
        assert.isAbove(held.length, 0)
        yield* broker.publish(second)
        yield* Fiber.join(taking)
        yield* eventually(broker.lag("emails"), { critical: 0, high: 0, normal: 0, low: 0 })
      })
    )
  })

  it.effect("status tells of connection, members and partitions", () =>
    on({ partitions: 3 }, (prefix) =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const topics = yield* KafkaTopics
        assert.isTrue(topics.status().connected)
        assert.deepStrictEqual(topics.status().consumers, [])
        yield* Effect.scoped(
          Effect.gen(function* () {
            yield* broker.consume("emails")
            yield* until(() => topics.status().consumers[0]?.assignedPartitions === 12)
            const [consumer] = topics.status().consumers
            assert.strictEqual(consumer?.queue, "emails")
            assert.strictEqual(consumer?.rebuiltCount, 0)
            assert.isBelow(consumer?.lastFetchAgoMs ?? Number.POSITIVE_INFINITY, 10_000)
          })
        )
        assert.deepStrictEqual(topics.status().consumers, [])
        yield* broker.publish([dispatchOf({ queue: "emails", priority: "low" })])
        assert.deepInclude(yield* topics.lagByTopic("emails"), {
          topic: topicOf(prefix, { queue: "emails", priority: "low" }),
          priority: "low",
          lag: 1
        })
      })
    )
  )
})

const idsOf = (dispatches: ReadonlyArray<Dispatch>) => dispatches.map(({ taskId }) => taskId).toSorted()

const takeAtLeast = Effect.fnUntraced(function* (subscription: Subscription, count: number) {
  const received: Array<Dispatch> = []
  while (received.length < count) received.push(...(yield* subscription.take(roomFor(1_000))))
  return received
})

/** Ends with the test's own limit. */
const until = Effect.fnUntraced(function* (holds: () => boolean) {
  while (!holds()) yield* aMoment
})

const eventually = Effect.fnUntraced(function* <A, E, R>(effect: Effect.Effect<A, E, R>, expected: A) {
  while (true) {
    const answer = yield* Effect.result(effect)
    if (answer._tag === "Success" && JSON.stringify(answer.success) === JSON.stringify(expected)) return
    yield* aMoment
  }
})
