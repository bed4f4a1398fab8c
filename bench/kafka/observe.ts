/** What can be seen of Kafka from outside. */
import { Effect } from "effect"
import { Kafka, logLevel } from "kafkajs"
import { defaults } from "../../src/broker/kafka/KafkaSettings.ts"
import { topicsOf } from "../../src/broker/kafka/topics.ts"

/** Messages that were ever appended to the topics of a queue: asked of Kafka itself, not of the code that is measured. */
export const messagesOf = (broker: string, queue: string) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.promise(async () => {
        const admin = new Kafka({ clientId: "bench", brokers: [broker], logLevel: logLevel.NOTHING }).admin()
        await admin.connect()
        return admin
      }),
      (admin) => Effect.promise(() => admin.disconnect())
    ),
    (admin) =>
      Effect.promise(async () => {
        let sum = 0
        for (const topic of topicsOf(defaults.prefix, queue)) {
          for (const { high } of await admin.fetchTopicOffsets(topic)) sum += Number(high)
        }
        return sum
      })
  )
