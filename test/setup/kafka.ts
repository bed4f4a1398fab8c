/**
 * The Kafka of a test run. Whoever imports this file waits until it answers (3 s for the first file of a run).
 *
 *   onKafka("the broker", ({ brokers }) => {
 *     it.live("delivers", () => ...)
 *   })
 *
 * All files share it, so name topics and groups with `uniqueName`.
 */
import { randomUUID } from "node:crypto"
import { describe, inject } from "vitest"
import type { KafkaForTests } from "./kafkaServer.ts"

/** The very first run on a machine fetches Kafka. */
const answerTimeoutMs = 600_000

const kafka = (await (
  await fetch(inject("kafka"), { signal: AbortSignal.timeout(answerTimeoutMs) })
).json()) as KafkaForTests

export interface KafkaAddress {
  /** As DUETIME_KAFKA_BROKERS has it. */
  readonly brokers: string
}

/**
 * Registers the suite; without Java or Maven it is reported as skipped with the reason, and where CI is set the file fails.
 */
export const onKafka = (name: string, suite: (kafka: KafkaAddress) => void): void => {
  if (kafka._tag === "Failed") throw new Error(kafka.reason)
  if (kafka._tag === "Running") describe(`${name}, on Kafka ${kafka.version}`, () => suite(kafka))
  else describe.skip(`${name}, on Kafka (${kafka.reason})`, () => suite({ brokers: "" }))
}

/** For a topic, a group or a client that no other test file may meet. */
export const uniqueName = (what: string): string => `${what}-${randomUUID()}`
