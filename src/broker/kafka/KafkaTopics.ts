import { Context, type Effect } from "effect"
import type { Priority } from "../../core/Priority.ts"
import type { BrokerUnavailable } from "../Broker.ts"
import type { BrokerRefused, TopicMissing, TopicTooNarrow } from "../BrokerError.ts"
import type { SkipReason } from "./envelope.ts"

/** The Kafka side of dispatch, for those who run it: the command line, health checks, the dashboard. */
export class KafkaTopics extends Context.Service<
  KafkaTopics,
  {
    /** Makes what is missing and widens what is too narrow; deletes and changes nothing else. May be repeated, by any number of processes. */
    readonly ensure: (
      options: EnsureOptions
    ) => Effect.Effect<ReadonlyArray<EnsuredTopic>, BrokerUnavailable | BrokerRefused>
    /** The topics that dispatching these queues needs, and what is there of them. */
    readonly describe: (
      queues: ReadonlyArray<string>
    ) => Effect.Effect<ReadonlyArray<DescribedTopic>, BrokerUnavailable | BrokerRefused>
    /** Fails with the first topic of these queues that is missing or has fewer partitions than configured. */
    readonly check: (
      queues: ReadonlyArray<string>
    ) => Effect.Effect<void, TopicMissing | TopicTooNarrow | BrokerUnavailable | BrokerRefused>
    readonly status: () => KafkaStatus
    /** What is published and not acknowledged, per topic of the queue. */
    readonly lagByTopic: (
      queue: string
    ) => Effect.Effect<
      ReadonlyArray<{ readonly topic: string; readonly priority: Priority; readonly lag: number }>,
      BrokerUnavailable
    >
  }
>()("duetime/broker/kafka/KafkaTopics") {}

export type EnsureOptions = {
  readonly queues: ReadonlyArray<string>
  /** Default as configured. */
  readonly partitions?: number
  /** Default as configured. Topics that exist keep theirs. */
  readonly replicationFactor?: number
  /** Only tells what would be made. Default false. */
  readonly dryRun?: boolean
}

export type EnsuredTopic = {
  readonly topic: string
  readonly outcome: "Created" | "Extended" | "Ready"
  /** What the topic has now, or would have. */
  readonly partitions: number
}

export type DescribedTopic = {
  readonly topic: string
  /** What it has; 0: it does not exist. */
  readonly partitions: number
  /** What is configured. */
  readonly partitionsWanted: number
}

export type KafkaStatus = {
  /** Whether the last request that was not a consumer's has been answered. */
  readonly connected: boolean
  readonly consumers: ReadonlyArray<ConsumerStatus>
  /** Messages of this process that were acknowledged unread, by reason, since it started. */
  readonly skipped: Readonly<Record<SkipReason, number>>
}

export type ConsumerStatus = {
  readonly queue: string
  /** How often the consumer had to be made anew; grows while the broker is away. */
  readonly rebuiltCount: number
  /** 0: not a member of the group, or more members than partitions. */
  readonly assignedPartitions: number
  /** Since the broker last answered a fetch, four times a second when all is well; null before the first. */
  readonly lastFetchAgoMs: number | null
}
