/** What is asked of the cluster about topics and offsets, and the making of topics. Nothing here deletes. */
import { Effect, type Scope, Semaphore } from "effect"
import type { Admin } from "kafkajs"
import { priorities, type Priority } from "../../core/Priority.ts"
import type { BrokerUnavailable } from "../Broker.ts"
import { type BrokerRefused, TopicMissing, TopicTooNarrow } from "../BrokerError.ts"
import { requestTimeoutMs, type Clients } from "./KafkaClient.ts"
import { errorsOf, kindOf, refusedOr, unavailable, untilKnown, untilSettled } from "./kafkaErrors.ts"
import type { KafkaSettings } from "./KafkaSettings.ts"
import type { EnsuredTopic, EnsureOptions, KafkaTopics } from "./KafkaTopics.ts"
import * as Link from "./Link.ts"
import { groupOf, plansOf, topicMissingWayOut, topicOf, type TopicPlan } from "./topics.ts"

export type TopicAdmin = Pick<KafkaTopics["Service"], "ensure" | "describe" | "check" | "lagByTopic"> & {
  /** Whether the cluster answers. */
  readonly ping: Effect.Effect<void, BrokerUnavailable | BrokerRefused>
  /** Those of the given topics that exist. */
  readonly existing: (topics: ReadonlyArray<string>) => Effect.Effect<ReadonlySet<string>, BrokerUnavailable>
  readonly offsets: (queue: string) => Effect.Effect<ReadonlyArray<PartitionOffsets>, BrokerUnavailable>
  readonly isUp: () => boolean
}

export type PartitionOffsets = {
  readonly topic: string
  readonly priority: Priority
  readonly partition: number
  /** Of the next message to be published. */
  readonly end: number
  /** The next one to be handled: what the group has committed, but nothing that is deleted already. */
  readonly next: number
}

export const make = Effect.fnUntraced(function* (
  settings: KafkaSettings,
  clients: Clients
): Effect.fn.Return<TopicAdmin, never, Scope.Scope> {
  const { prefix } = settings
  const link = yield* Link.make(() => clients().admin())
  // Two makers in one process would only meet each other's "exists already".
  const making = yield* Semaphore.make(1)

  const partitionsOf = (topics: ReadonlyArray<string>) =>
    untilKnown(
      link.use(async (admin) => {
        const present = new Set(await admin.listTopics())
        const known = topics.filter((topic) => present.has(topic))
        // Asked with no names it would answer for all.
        if (known.length === 0) return new Map<string, number>()
        const { topics: described } = await admin.fetchTopicMetadata({ topics: known })
        return new Map(described.map(({ name, partitions }) => [name, partitions.length]))
      }, askTimeoutMs)
    )

  /** The brokers hear of new partitions one after the other; whoever looks next, or publishes, must find them. */
  const untilSeen = Effect.fnUntraced(function* (plans: ReadonlyArray<TopicPlan>) {
    for (let looks = 0; looks < looksMax; looks++) {
      const present = yield* partitionsOf(plans.map(({ topic }) => topic))
      if (plans.every(({ partitions, topic }) => (present.get(topic) ?? 0) >= partitions)) return
      yield* Effect.sleep(lookIntervalMs)
    }
  })

  const ensure = ({ dryRun = false, partitions = settings.partitions, queues, ...options }: EnsureOptions) =>
    Effect.gen(function* () {
      const replicationFactor = options.replicationFactor ?? settings.replicationFactor
      const plans = plansOf(prefix, queues, partitions)
      const present = yield* partitionsOf(plans.map(({ topic }) => topic))
      const missing = plans.filter(({ topic }) => !present.has(topic))
      const narrow = plans.filter((plan) => (present.get(plan.topic) ?? plan.partitions) < plan.partitions)
      if (missing.length > 0 && !dryRun) {
        const topics = missing.map(({ configEntries, topic, ...plan }) => ({
          topic,
          numPartitions: plan.partitions,
          replicationFactor,
          configEntries
        }))
        yield* link.use((admin) => create(admin, topics), makeTimeoutMs)
      }
      if (narrow.length > 0 && !dryRun) {
        const topicPartitions = narrow.map((plan) => ({ topic: plan.topic, count: plan.partitions }))
        yield* link.use(
          (admin) => admin.createPartitions({ topicPartitions, timeout: requestTimeoutMs }),
          makeTimeoutMs
        )
      }
      if (missing.length + narrow.length > 0 && !dryRun) yield* untilSeen(plans)
      return plans.map((plan): EnsuredTopic => {
        const before = present.get(plan.topic)
        const outcome = before === undefined ? "Created" : before < plan.partitions ? "Extended" : "Ready"
        return { topic: plan.topic, outcome, partitions: Math.max(before ?? 0, plan.partitions) }
      })
    }).pipe(
      making.withPermits(1),
      Effect.mapError((error) => refusedOr("making topics", error))
    )

  const describe = Effect.fnUntraced(function* (queues: ReadonlyArray<string>) {
    const plans = plansOf(prefix, queues, settings.partitions)
    const present = yield* partitionsOf(plans.map(({ topic }) => topic)).pipe(
      Effect.mapError((error) => refusedOr("looking at topics", error))
    )
    return plans.map(({ partitions, topic }) => ({
      topic,
      partitions: present.get(topic) ?? 0,
      partitionsWanted: partitions
    }))
  })

  const check = Effect.fnUntraced(function* (queues: ReadonlyArray<string>) {
    const plans = queues.flatMap((queue) =>
      plansOf(prefix, [queue], settings.partitions).map((plan) => ({ queue, plan }))
    )
    const present = yield* partitionsOf([...new Set(plans.map(({ plan }) => plan.topic))]).pipe(
      Effect.mapError((error) => refusedOr("looking at topics", error))
    )
    for (const { plan, queue } of plans) {
      const found = present.get(plan.topic)
      if (found === undefined) return yield* new TopicMissing({ topic: plan.topic, wayOut: topicMissingWayOut(queue) })
      if (found < plan.partitions) {
        return yield* new TopicTooNarrow({
          topic: plan.topic,
          partitions: found,
          needed: plan.partitions,
          wayOut: `Run "duetime topics ensure --queue ${queue}", or lower DUETIME_KAFKA_PARTITIONS.`
        })
      }
    }
  })

  const offsets = (queue: string) =>
    link
      .use(async (admin) => {
        const groupId = groupOf(prefix, queue)
        const ways = priorities.map((priority) => ({ priority, topic: topicOf(prefix, { queue, priority }) }))
        const committed = await admin.fetchOffsets({ groupId, topics: ways.map(({ topic }) => topic) })
        return await Promise.all(
          ways.map(async ({ priority, topic }) => {
            const ends = await admin.fetchTopicOffsets(topic)
            const byPartition = new Map(
              committed
                .find((answer) => answer.topic === topic)
                ?.partitions.map(({ offset, partition }) => [partition, Number(offset)])
            )
            return ends.map(({ high, low, partition }) => ({
              topic,
              priority,
              partition,
              end: Number(high),
              // -1: nothing committed yet, so it begins with what there is.
              next: Math.max(byPartition.get(partition) ?? -1, Number(low))
            }))
          })
        )
      }, askTimeoutMs)
      .pipe(
        untilSettled,
        Effect.map((answers) => answers.flat()),
        Effect.mapError((error) => unavailable("lag", error))
      )

  return {
    ping: link
      .use((admin) => admin.describeCluster(), askTimeoutMs)
      .pipe(
        Effect.mapError((error) => refusedOr("connect", error)),
        Effect.asVoid
      ),
    existing: (topics) =>
      link
        .use((admin) => admin.listTopics(), askTimeoutMs)
        .pipe(
          Effect.map((present) => new Set(present.filter((topic) => topics.includes(topic)))),
          Effect.mapError((error) => unavailable("looking at topics", error))
        ),
    ensure,
    describe,
    check,
    offsets,
    lagByTopic: (queue) =>
      Effect.map(offsets(queue), (partitions) =>
        priorities.map((priority) => {
          const topic = topicOf(prefix, { queue, priority })
          const own = partitions.filter((partition) => partition.topic === topic)
          return { topic, priority, lag: own.reduce((sum, { end, next }) => sum + Math.max(0, end - next), 0) }
        })
      ),
    isUp: link.isUp
  }
})

/** Per look at the cluster, all its requests together. */
const askTimeoutMs = 5_000
/** Together 5 s. What is not seen by then was made all the same. */
const looksMax = 100
const lookIntervalMs = 50
/** A cluster of many brokers needs a while to elect the leaders of new partitions. */
const makeTimeoutMs = 15_000

/** Another process may be making the same topics; what it has made need not be made. */
const create = async (admin: Admin, topics: Parameters<Admin["createTopics"]>[0]["topics"]): Promise<void> => {
  try {
    // kafkajs would wait for the leaders, and fail where the broker that it asks has not heard of the topic yet: `untilSeen` does not.
    await admin.createTopics({ topics, waitForLeaders: false, timeout: makeTimeoutMs })
  } catch (error) {
    const kinds = errorsOf(error).map(kindOf)
    if (!kinds.every((kind) => kind === "TOPIC_ALREADY_EXISTS")) throw error
  }
}
