/**
 * Publishes batches, one request for all their topics. One topic that is missing fails the whole request, so then it is
 * found, refused and left out for a while, and the rest goes out.
 */
import { Effect, Option, Result, type Scope } from "effect"
import type { Kafka, Message } from "kafkajs"
import type { BrokerUnavailable, Dispatch } from "../Broker.ts"
import { encode, placeOf } from "./envelope.ts"
import { metadataMaxAgeMs, requestTimeoutMs, type Clients } from "./KafkaClient.ts"
import { failureFrom, isTopicUnknown, type KafkaFailure, unavailable, untilSettled } from "./kafkaErrors.ts"
import * as Link from "./Link.ts"
import type { TopicAdmin } from "./TopicAdmin.ts"
import { topicMissingWayOut, topicOf } from "./topics.ts"

export type Publisher = {
  readonly publish: (
    batch: ReadonlyArray<Dispatch>
  ) => Effect.Effect<ReadonlyArray<"Published" | "Refused">, BrokerUnavailable>
  readonly isUp: () => boolean
}

type Group = { readonly queue: string; readonly indices: Array<number>; readonly messages: Array<Message> }

export const make = Effect.fnUntraced(function* (parts: {
  readonly clients: Clients
  readonly prefix: string
  readonly admin: TopicAdmin
  readonly createTopics: boolean
  readonly monotonicMs: () => number
}): Effect.fn.Return<Publisher, never, Scope.Scope> {
  const { admin, clients, createTopics, monotonicMs, prefix } = parts
  const link = yield* Link.make(() => producerOf(clients()))
  /** Topics that did not exist a moment ago, and when that was. */
  const missing = new Map<string, number>()
  const warnedAtMs = new Map<string, number>()

  const send = (groups: ReadonlyMap<string, Group>): Effect.Effect<unknown, KafkaFailure> => {
    const topicMessages = [...groups].map(([topic, { messages }]) => ({ topic, messages }))
    if (topicMessages.length === 0) return Effect.void
    return untilSettled(
      link.use((producer) => producer.sendBatch({ acks: -1, timeout: requestTimeoutMs, topicMessages }), sendMsMax)
    )
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
    const groups = groupsOf(batch, prefix, yield* traceparentOfFiber)
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

  return { publish: (batch) => (batch.length === 0 ? Effect.succeed([]) : publish(batch)), isUp: link.isUp }
})

export const producerOf = (kafka: Kafka) =>
  kafka.producer({
    allowAutoTopicCreation: false,
    idempotent: false,
    metadataMaxAge: metadataMaxAgeMs,
    // A message's `partition` is a place, to be taken modulo what the topic has.
    createPartitioner:
      () =>
      ({ message, partitionMetadata }) =>
        (message.partition ?? 0) % Math.max(1, partitionMetadata.length)
  })

const groupsOf = (batch: ReadonlyArray<Dispatch>, prefix: string, traceparent: string | undefined) => {
  const groups = new Map<string, Group>()
  batch.forEach((dispatch, index) => {
    const topic = topicOf(prefix, dispatch)
    let group = groups.get(topic)
    if (group === undefined) {
      group = { queue: dispatch.queue, indices: [], messages: [] }
      groups.set(topic, group)
    }
    group.indices.push(index)
    group.messages.push({ value: encode(dispatch, traceparent), partition: placeOf(dispatch) })
  })
  return groups
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
