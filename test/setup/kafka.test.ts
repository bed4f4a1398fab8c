import { assert, it } from "@effect/vitest"
import { Kafka, logLevel } from "kafkajs"
import { onKafka, uniqueName } from "./kafka.ts"

onKafka("a test file", ({ brokers }) => {
  it("makes its own topics on the Kafka of the run", async () => {
    const admin = new Kafka({ brokers: brokers.split(","), logLevel: logLevel.NOTHING }).admin()
    await admin.connect()
    const topic = uniqueName("topic")
    assert.isTrue(await admin.createTopics({ topics: [{ topic, numPartitions: 2, replicationFactor: 1 }] }))
    assert.include(await admin.listTopics(), topic)
    await admin.deleteTopics({ topics: [topic] })
    await admin.disconnect()
  })
})
