import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Kafka, logLevel } from "kafkajs"
import { defaults } from "../../../src/broker/kafka/KafkaSettings.ts"
import { topicsOf } from "../../../src/broker/kafka/topics.ts"
import * as TopicAdmin from "../../../src/broker/kafka/TopicAdmin.ts"

/** A cluster in which one broker lists the queue's topics, and the one that is asked about them next says what is given. */
const clusterOf = (answers: ReadonlyArray<"unknown" | "known">) => {
  const cluster = new Kafka({ brokers: ["127.0.0.1:1"], logLevel: logLevel.NOTHING })
  const topics = topicsOf(defaults.prefix, "emails")
  let askedCount = 0
  const admin = {
    ...cluster.admin(),
    connect: async () => {},
    disconnect: async () => {},
    listTopics: async () => [...topics],
    fetchTopicMetadata: async () => {
      const answer = answers[askedCount++]
      if (answer === "known") return { topics: topics.map((name) => ({ name, partitions: [] })) }
      throw Object.assign(new Error("This server does not host this topic-partition"), {
        type: "UNKNOWN_TOPIC_OR_PARTITION"
      })
    }
  }
  const described = Effect.gen(function* () {
    const topicAdmin = yield* TopicAdmin.make({ ...defaults, brokers: [] }, () =>
      Object.assign(cluster, { admin: () => admin })
    )
    const asked = yield* Effect.forkChild(Effect.exit(topicAdmin.describe(["emails"])))
    yield* TestClock.adjust("10 seconds")
    return yield* Fiber.join(asked)
  }).pipe(Effect.scoped)
  return { described, askedCount: () => askedCount }
}

describe("what is asked about topics", () => {
  it.effect("is asked again while one broker has not heard of a topic that another one lists", () =>
    Effect.gen(function* () {
      const { askedCount, described } = clusterOf(["unknown", "unknown", "known"])
      const { _tag } = yield* described
      assert.strictEqual(_tag, "Success")
      assert.strictEqual(askedCount(), 3)
    })
  )

  it.effect("is not asked without end", () =>
    Effect.gen(function* () {
      const { askedCount, described } = clusterOf([])
      assert.strictEqual((yield* described)._tag, "Failure")
      assert.strictEqual(askedCount(), 7)
    })
  )
})
