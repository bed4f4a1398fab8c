import { type Priority, priorities } from "../../core/Priority.ts"

/** Names of topics and groups, and what a topic is made with. */

export type Way = { readonly queue: string; readonly priority: Priority }

/** Rises when a topic's messages could not be told from those of an older one by their format. */
const topicVersion = "v1"

export const topicOf = (prefix: string, { priority, queue }: Way): string =>
  `${prefix}.${queue}.${priority}.${topicVersion}`

export const topicsOf = (prefix: string, queue: string): ReadonlyArray<string> =>
  priorities.map((priority) => topicOf(prefix, { queue, priority }))

/** Which claims have been started: from workers to engines. */
export const startedTopicOf = (prefix: string): string => `${prefix}.started.${topicVersion}`

/** Dead letters, for whoever outside wants to know. */
export const deadTopicOf = (prefix: string): string => `${prefix}.dead.${topicVersion}`

export const groupOf = (prefix: string, queue: string): string => `${prefix}.${queue}`

export type TopicPlan = {
  readonly topic: string
  readonly partitions: number
  readonly configEntries: Array<{ name: string; value: string }>
}

export const topicMissingWayOut = (queue: string): string =>
  `Run "duetime topics ensure --queue ${queue}" or set DUETIME_KAFKA_CREATE_TOPICS=true.`

/** All topics that dispatching these queues needs. */
export const plansOf = (
  prefix: string,
  queues: ReadonlyArray<string>,
  partitions: number
): ReadonlyArray<TopicPlan> => [
  ...queues.flatMap((queue) => topicsOf(prefix, queue)).map((topic) => ({ topic, partitions, configEntries: passing })),
  // Read whole by every engine, so more partitions would part nothing.
  { topic: startedTopicOf(prefix), partitions: 1, configEntries: passing },
  { topic: deadTopicOf(prefix), partitions, configEntries: plain }
]

/** A foreign message in a compression that the client cannot read would stop its consumer for good: the broker undoes it. */
const plain = [{ name: "compression.type", value: "uncompressed" }]

/** Hints are of no use after a minute; ten leave something for a person to look at. */
const retentionMs = 600_000
/** Kafka deletes whole segments only, never the last. */
const segmentBytes = 16 * 1_024 * 1_024

const passing = [
  ...plain,
  { name: "cleanup.policy", value: "delete" },
  { name: "retention.ms", value: String(retentionMs) },
  { name: "segment.ms", value: String(retentionMs) },
  { name: "segment.bytes", value: String(segmentBytes) }
]
