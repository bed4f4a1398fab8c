/** The two topics beside the dispatches: which claims have been started, and dead letters. */
import { Effect, Queue, Random, type Scope } from "effect"
import type { Message } from "kafkajs"
import * as os from "node:os"
import { type EventId, slotOfKey } from "../../core/TaskId.ts"
import type { Broker } from "../Broker.ts"
import { decodeStarted, encodeDead, encodeStarted } from "./controlMessages.ts"
import { requestTimeoutMs } from "./KafkaClient.ts"
import { failureFrom, isTopicUnknown, unavailable, untilSettled } from "./kafkaErrors.ts"
import * as Link from "./Link.ts"
import { Membership, type MembershipOptions } from "./Membership.ts"
import { producerOf } from "./Publisher.ts"
import type { TopicAdmin } from "./TopicAdmin.ts"
import type { OnSkipped } from "./QueueConsumer.ts"
import { deadTopicOf, startedTopicOf } from "./topics.ts"

export const make = Effect.fnUntraced(function* (
  parts: Pick<MembershipOptions, "clients" | "session" | "monotonicMs"> & {
    readonly prefix: string
    readonly admin: TopicAdmin
    readonly createTopics: boolean
    readonly onSkipped: OnSkipped
  }
): Effect.fn.Return<Pick<Broker["Service"], "tellStarted" | "startedHints" | "announceDead">, never, Scope.Scope> {
  const { admin, createTopics, onSkipped, prefix } = parts
  const startedTopic = startedTopicOf(prefix)
  const deadTopic = deadTopicOf(prefix)
  // Not the publisher's: a control topic that is missing must not cost the dispatches their connection.
  const link = yield* Link.make(() => producerOf(parts.clients()))

  const send = (operation: string, topic: string, messages: Array<Message>, timeoutMs: number) => {
    const once = untilSettled(
      link.use((producer) => producer.send({ topic, acks: -1, timeout: requestTimeoutMs, messages }), timeoutMs)
    )
    return once.pipe(
      Effect.catch((error) =>
        createTopics && isTopicUnknown(error)
          ? Effect.andThen(Effect.mapError(admin.ensure({ queues: [] }), failureFrom), once)
          : Effect.fail(error)
      ),
      Effect.mapError((error) => unavailable(operation, error)),
      Effect.asVoid
    )
  }

  const tellStarted = (claims: ReadonlyArray<EventId>) => {
    if (claims.length === 0) return Effect.void
    const messages = Array.from({ length: Math.ceil(claims.length / startedPerMessageMax) }, (_, index) => ({
      value: encodeStarted(claims.slice(index * startedPerMessageMax, (index + 1) * startedPerMessageMax))
    }))
    return send("tellStarted", startedTopic, messages, tellMsMax)
  }

  const startedHints = Effect.gen(function* () {
    const hints = yield* Effect.acquireRelease(Queue.sliding<ReadonlyArray<EventId>>(hintBatchesMax), Queue.shutdown)
    // A group of its own, so that every process hears everything; it commits nothing and vanishes with the process.
    const mark = yield* Random.nextIntBetween(0, 2 ** 32)
    const membership = new Membership({
      ...parts,
      name: "of started hints",
      groupId: `${prefix}.started.${os.hostname()}-${process.pid}-${mark.toString(36)}`,
      topics: [startedTopic],
      fromBeginning: false,
      prepare: createTopics
        ? admin.ensure({ queues: [] }).pipe(Effect.mapError(failureFrom), Effect.asVoid)
        : Effect.void,
      onAssigned: () => undefined,
      onLeaving: () => Promise.resolve(),
      alongside: () => Effect.never,
      onBatch: (batch) => {
        for (const { value } of batch.messages) {
          const claims = decodeStarted(value)
          if (claims === undefined) onSkipped(startedTopic, "malformed")
          else Queue.offerUnsafe(hints, claims)
        }
      }
    })
    yield* Effect.forkScoped(membership.run)
    return hints
  })

  return {
    tellStarted,
    startedHints,
    announceDead: (letters) =>
      letters.length === 0
        ? Effect.void
        : send(
            "announceDead",
            deadTopic,
            letters.map((letter) => ({
              key: letter.taskId,
              value: encodeDead(letter),
              partition: slotOfKey(letter.taskId)
            })),
            announceMsMax
          )
  }
})

/** Some 32 kB. */
const startedPerMessageMax = 2_000
/** Messages of the started topic that wait for the engine; older ones are dropped. */
const hintBatchesMax = 1_000
/** A hint that takes longer is not worth waiting for. */
const tellMsMax = 1_000
const announceMsMax = 5_000
