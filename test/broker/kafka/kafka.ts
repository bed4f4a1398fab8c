/** The Kafka that tests run on, and settings for it. */
import { describe } from "@effect/vitest"
import type { KafkaSettings } from "../../../src/broker/kafka/KafkaSettings.ts"
import * as Settings from "../../../src/broker/kafka/KafkaSettings.ts"

const broker = process.env["DUETIME_TEST_KAFKA"]

/** Runs the tests on the Kafka that is there; without one they are shown as skipped. */
export const onKafka = (name: string, tests: (broker: string) => void) =>
  broker === undefined ? describe.skip(name, () => {}) : describe(name, () => tests(broker))

export const settingsOf = (broker: string, settings: Partial<KafkaSettings> = {}): KafkaSettings => ({
  ...Settings.defaults,
  brokers: [broker],
  prefix: freshPrefix(),
  partitions: 2,
  createTopics: true,
  mayBeAway: false,
  ...settings
})

let count = 0
const freshPrefix = () => `test-${Date.now().toString(36)}-${process.pid}-${count++}`
