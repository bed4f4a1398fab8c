/**
 * Publishes batches, one request for all their topics, and in it one message for what goes to one partition. One topic that is missing fails the whole request, so then it is
 * found, refused and left out for a while, and the rest goes out.
 */
import { Effect, Option, Result, type Scope } from "effect"
import type { Kafka, Message, RecordMetadata } from "kafkajs"
import type { BrokerUnavailable, Dispatch } from "../Broker.ts"
import { dispatchesPerMessageMax, encode, placeOf } from "./envelope.ts"
import { metadataMaxAgeMs, requestTimeoutMs, type Clients } from "./KafkaClient.ts"
import { failureFrom, isTopicUnknown, type KafkaFailure, unavailable, untilSettled } from "./kafkaErrors.ts"
import * as Link from "./Link.ts"
import type { TopicAdmin } from "./TopicAdmin.ts"
import { topicMissingWayOut, topicOf } from "./topics.ts"
import { Unacknowledged } from "./Unacknowledged.ts"

export type Publisher = {
  readonly publish: (
    batch: ReadonlyArray<Dispatch>
  ) => Effect.Effect<ReadonlyArray<"Published" | "Refused">, BrokerUnavailable>
  readonly unacknowledged: Unacknowledged
  readonly isUp: () => boolean
}

/** What of a batch goes to one topic. */
type Group = {
  readonly queue: string
  readonly indices: ReadonlyArray<number>
  readonly messages: ReadonlyArray<Message & { readonly partition: number; readonly dispatches: number }>
}

export const make = Effect.fnUntraced(function* (parts: {
  readonly clients: Clients
  readonly prefix: string
  readonly admin: TopicAdmin
  readonly createTopics: boolean
  readonly monotonicMs: () => number
}): Effect.fn.Return<Publisher, never, Scope.Scope> {
  const { admin, clients, createTopics, monotonicMs, prefix } = parts
  /** Partitions of each topic, as the producer last found them. */
  const partitionsOf = new Map<string, number>()
  const link = yield* Link.make(() => producerOf(clients(), (topic, count) => partitionsOf.set(topic, count)))
  const unacknowledged = new Unacknowledged()
  /** Topics that did not exist a moment ago, and when that was. */
  const missing = new Map<string, number>()
  const warnedAtMs = new Map<string, number>()

  const send = (groups: ReadonlyMap<string, Group>): Effect.Effect<void, KafkaFailure> => {
    const topicMessages = [...groups].map(([topic, { messages }]) => ({ topic, messages: [...messages] }))
    if (topicMessages.length === 0) return Effect.void
    return untilSettled(
      link.use((producer) => producer.sendBatch({ acks: -1, timeout: requestTimeoutMs, topicMessages }), sendMsMax)
    ).pipe(Effect.map((answers) => remember(groups, answers)))
  }

  /** A partition's messages lie one after the other, from the offset that its answer names. */
  const remember = (groups: ReadonlyMap<string, Group>, answers: ReadonlyArray<RecordMetadata>) => {
    const nextOffsets = new Map(
      answers.map(({ baseOffset, partition, topicName }) => [`${topicName}/${partition}`, Number(baseOffset)])
    )
    for (const [topic, { messages }] of groups) {
      const sent = messages.flatMap(({ dispatches, partition: place }) => {
        const partition = place % (partitionsOf.get(topic) ?? 1)
        const offset = nextOffsets.get(`${topic}/${partition}`)
        if (offset === undefined) return []
        nextOffsets.set(`${topic}/${partition}`, offset + 1)
        return [{ partition, offset, dispatches }]
      })
      unacknowledged.sent(topic, sent)
    }
  }

  const warn = Effect.fnUntraced(function* (topic: string, problem: string) {
    const last = warnedAtMs.get(topic)
    if (last !== undefined && monotonicMs() - last < warningIntervalMs) return
    warnedAtMs.set(topic, monotonicMs())
    yield* Effect.logWarning(`Tasks for the topic ${topic} wait in the store: ${problem}`)
  })

  /** Makes, or takes note of, what is missing. */
  const findMissing = Effect.fnUntraced(function* (groups: ReadonlyMap<string, Group>) {
    const present = yield* Effect.mapError(admin.existing([...groups.keys()]), failureFrom)
    const absent = [...groups].filter(([topic]) => !present.has(topic))
    if (absent.length === 0) return
    let problem: string | undefined
    if (createTopics) {
      const queues = [...new Set(absent.map(([, { queue }]) => queue))]
      const made = yield* Effect.result(admin.ensure({ queues }))
      if (Result.isSuccess(made)) return
      problem = `it could not be made: ${made.failure.reason}.`
    }
    for (const [topic, { queue }] of absent) {
      missing.set(topic, monotonicMs())
      yield* warn(topic, problem ?? `it does not exist. ${topicMissingWayOut(queue)}`)
    }
  })

  const withoutMissing = (groups: ReadonlyMap<string, Group>) =>
    new Map(
      [...groups].filter(([topic]) => {
        const sinceMs = missing.get(topic)
        if (sinceMs !== undefined && monotonicMs() - sinceMs >= missingForMs) missing.delete(topic)
        return !missing.has(topic)
      })
    )

  const publish = Effect.fnUntraced(function* (batch: ReadonlyArray<Dispatch>) {
    const groups = groupsOf(batch, prefix, partitionsOf, yield* traceparentOfFiber)
    let sent = withoutMissing(groups)
    yield* send(sent).pipe(
      Effect.catch((error) =>
        isTopicUnknown(error)
          ? Effect.andThen(
              findMissing(sent),
              Effect.suspend(() => {
                sent = withoutMissing(sent)
                return send(sent)
              })
            )
          : Effect.fail(error)
      ),
      Effect.mapError((error) => unavailable("publish", error))
    )
    const answers = Array.from(batch, (): "Published" | "Refused" => "Refused")
    for (const { indices } of sent.values()) for (const index of indices) answers[index] = "Published"
    return answers
  })

  return {
    publish: (batch) => (batch.length === 0 ? Effect.succeed([]) : publish(batch)),
    unacknowledged,
    isUp: link.isUp
  }
})

export const producerOf = (kafka: Kafka, onPartitions: (topic: string, count: number) => void = () => {}) =>
  kafka.producer({
    allowAutoTopicCreation: false,
    idempotent: false,
    metadataMaxAge: metadataMaxAgeMs,
    // A message's `partition` is a place, to be taken modulo what the topic has.
    createPartitioner:
      () =>
      ({ message, partitionMetadata, topic }) => {
        const count = Math.max(1, partitionMetadata.length)
        onPartitions(topic, count)
        return (message.partition ?? 0) % count
      }
  })

const groupsOf = (
  batch: ReadonlyArray<Dispatch>,
  prefix: string,
  partitionsOf: ReadonlyMap<string, number>,
  traceparent: string | undefined
): ReadonlyMap<string, Group> => {
  const placed = batch.map((dispatch, index) => ({ dispatch, index }))
  const byTopic = Map.groupBy(placed, ({ dispatch }) => topicOf(prefix, dispatch))
  return new Map(
    [...byTopic].map(([topic, own]) => {
      const dispatches = own.map(({ dispatch }) => dispatch)
      const messages = messagesOf(dispatches, partitionsOf.get(topic), traceparent)
      return [topic, { queue: dispatches[0]?.queue ?? "", indices: own.map(({ index }) => index), messages }]
    })
  )
}

/** One message for each dispatch, until the topic's partitions are known. */
const messagesOf = (
  dispatches: ReadonlyArray<Dispatch>,
  partitions: number | undefined,
  traceparent: string | undefined
): Group["messages"] => {
  const place = (dispatch: Dispatch, index: number) =>
    partitions === undefined ? index : `${placeOf(dispatch) % partitions} ${dispatch.traceparent ?? ""}`
  return [...Map.groupBy(dispatches, place).values()].flatMap((together) =>
    Array.from({ length: Math.ceil(together.length / dispatchesPerMessageMax) }, (_, index) => {
      const part = together.slice(index * dispatchesPerMessageMax, (index + 1) * dispatchesPerMessageMax)
      const [first] = part
      return {
        value: encode(part, first?.traceparent ?? traceparent),
        partition: first === undefined ? 0 : placeOf(first),
        dispatches: part.length
      }
    })
  )
}

const traceparentOfFiber = Effect.option(Effect.currentSpan).pipe(
  Effect.map((span) =>
    Option.isNone(span)
      ? undefined
      : `00-${span.value.traceId}-${span.value.spanId}-${span.value.sampled ? "01" : "00"}`
  )
)

/** Longest request: one that is answered, and the connection before it. */
const sendMsMax = 4_000
/** So long a topic that was missing is not asked for again: every such question costs the other topics a connection. */
const missingForMs = 1_000
const warningIntervalMs = 60_000
