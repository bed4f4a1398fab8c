import { Schema } from "effect"

/** Java or Maven is absent; the message names what to install. */
export class EmbeddedKafkaUnavailable extends Schema.TaggedError<EmbeddedKafkaUnavailable>()(
  "EmbeddedKafkaUnavailable",
  { missing: Schema.Literals(["java", "mvn"]), message: Schema.String }
) {}

/** The programs are there, but Kafka could not be fetched, or its server not be made, started or stopped. */
export class EmbeddedKafkaFailed extends Schema.TaggedError<EmbeddedKafkaFailed>()("EmbeddedKafkaFailed", {
  step: Schema.Literals(["fetch", "own", "format", "start"]),
  message: Schema.String
}) {}

/** Ends every message: what needs neither Java nor Maven here. */
export const wayOut = "or set DUETIME_KAFKA_BROKERS to a Kafka 4.0 or newer."
