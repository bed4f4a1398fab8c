import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { type Admin, Kafka, logLevel } from "kafkajs"
import { defaults } from "../../../src/broker/kafka/KafkaSettings.ts"
import { topicsOf } from "../../../src/broker/kafka/topics.ts"
import * as TopicAdmin from "../../../src/broker/kafka/TopicAdmin.ts"

const partition = { partitionErrorCode: 0, partitionId: 0, leader: 1, replicas: [1], isr: [1] }

/** A cluster in which one broker lists the queue's topics, and the one that is asked about them next says what is given. */
const clusterOf = (answers: ReadonlyArray<"unknown" | "known">) => {
  const cluster = new Kafka({ brokers: ["127.0.0.1:1"], logLevel: logLevel.NOTHING })
  const topics = [...topicsOf(defaults.prefix, "emails")]
  let askedCount = 0
  const unknown = () =>
    Object.assign(new Error("This server does not host this topic-partition"), { type: "UNKNOWN_TOPIC_OR_PARTITION" })
  const admin: Admin = {
    ...cluster.admin(),
    connect: async () => {},
    disconnect: async () => {},
    listTopics: async () => [...topics],
    // As kafkajs does, it asks of the leaders if it is to wait for them.
    createTopics: async ({ topics: made, waitForLeaders }) => {
      topics.push(...made.map(({ topic }) => topic))
      if (waitForLeaders === true) throw unknown()
      return true
    },
    fetchTopicMetadata: async () => {
      const answer = answers[askedCount++]
      if (answer === "known") return { topics: topics.map((name) => ({ name, partitions: [partition] })) }
      throw unknown()
    }
  }
  const ask = <A, E>(of: (topicAdmin: TopicAdmin.TopicAdmin) => Effect.Effect<A, E>) =>
    Effect.gen(function* () {
      const topicAdmin = yield* TopicAdmin.make({ ...defaults, brokers: [] }, () =>
        Object.assign(cluster, { admin: () => admin })
      )
      const asked = yield* Effect.forkChild(Effect.exit(of(topicAdmin)))
      yield* TestClock.adjust("10 seconds")
      return yield* Fiber.join(asked)
    }).pipe(Effect.scoped)
  return { ask, askedCount: () => askedCount }
}

describe("what is asked about topics", () => {
  it.effect("is asked again while one broker has not heard of a topic that another one lists", () =>
    Effect.gen(function* () {
      const { ask, askedCount } = clusterOf(["unknown", "unknown", "known"])
      const { _tag } = yield* ask(({ describe }) => describe(["emails"]))
      assert.strictEqual(_tag, "Success")
      assert.strictEqual(askedCount(), 3)
    })
  )

  it.effect("is asked again after topics are made, of which brokers hear one after the other", () =>
    Effect.gen(function* () {
      const { ask, askedCount } = clusterOf(["known", "unknown", "known"])
      const made = yield* ask(({ ensure }) => ensure({ queues: ["emails", "payments"], partitions: 1 }))
      assert.strictEqual(made._tag, "Success")
      assert.strictEqual(askedCount(), 3)
    })
  )

  it.effect("is not asked without end", () =>
    Effect.gen(function* () {
      const { ask, askedCount } = clusterOf([])
      assert.strictEqual((yield* ask(({ describe }) => describe(["emails"])))._tag, "Failure")
      assert.strictEqual(askedCount(), 7)
    })
  )
})
