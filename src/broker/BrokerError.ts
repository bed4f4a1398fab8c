import { Runtime, Schema } from "effect"

/** The broker answered and will not have us: wrong credentials, a certificate that does not hold, a right that is missing. */
export class BrokerRefused extends Schema.TaggedError<BrokerRefused>("duetime/BrokerRefused")("BrokerRefused", {
  operation: Schema.String,
  reason: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override readonly [Runtime.errorExitCode] = 3
  override get message(): string {
    return `BrokerRefused: ${this.operation} was refused: ${this.reason}. Check the SASL and TLS settings and what this user may do; waiting does not help.`
  }
}

/** A topic that dispatches go through does not exist. */
export class TopicMissing extends Schema.TaggedError<TopicMissing>("duetime/TopicMissing")("TopicMissing", {
  topic: Schema.String,
  wayOut: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 3
  override get message(): string {
    return `TopicMissing: the topic ${this.topic} does not exist. ${this.wayOut}`
  }
}

/** A topic with fewer partitions than are configured: so many consumers of its queue would be idle. */
export class TopicTooNarrow extends Schema.TaggedError<TopicTooNarrow>("duetime/TopicTooNarrow")("TopicTooNarrow", {
  topic: Schema.String,
  /** What it has. */
  partitions: Schema.Int,
  needed: Schema.Int,
  wayOut: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 3
  override get message(): string {
    return `TopicTooNarrow: the topic ${this.topic} has ${this.partitions} partitions, ${this.needed} are configured. ${this.wayOut}`
  }
}
