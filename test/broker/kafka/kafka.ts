/** Settings for the Kafka of the test run. */
import type { KafkaSettings } from "../../../src/broker/kafka/KafkaSettings.ts"
import * as Settings from "../../../src/broker/kafka/KafkaSettings.ts"
import { uniqueName } from "../../setup/kafka.ts"

export const settingsOf = (broker: string, settings: Partial<KafkaSettings> = {}): KafkaSettings => ({
  ...Settings.defaults,
  brokers: [broker],
  prefix: uniqueName("test"),
  partitions: 2,
  createTopics: true,
  mayBeAway: false,
  ...settings
})
