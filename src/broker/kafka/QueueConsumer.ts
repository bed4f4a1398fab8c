/**
 * One subscription: takes what the group assigns into a buffer and returns at once, so that no handler ever holds a
 * partition, and commits in the background what has been acknowledged.
 */
import { Effect, type Scope } from "effect"
import type { Batch, Consumer } from "kafkajs"
import { type Priority, priorities } from "../../core/Priority.ts"
import { type Dispatch, holdMsMax, type Subscription } from "../Broker.ts"
import { decode, type SkipReason } from "./envelope.ts"
import { Inbox } from "./Inbox.ts"
import type { ConsumerStatus } from "./KafkaTopics.ts"
import { failure, type KafkaFailure } from "./kafkaErrors.ts"
import { Membership, type MembershipOptions } from "./Membership.ts"
import { Offsets } from "./Offsets.ts"
import type { TopicAdmin } from "./TopicAdmin.ts"
import { groupOf, topicOf } from "./topics.ts"

export type QueueConsumer = { readonly subscription: Subscription; readonly status: () => ConsumerStatus }

/** Told of every message that is acknowledged unread. */
export type OnSkipped = (topic: string, reason: SkipReason) => void

export const make = Effect.fnUntraced(function* (
  queue: string,
  parts: Pick<MembershipOptions, "clients" | "session" | "monotonicMs" | "prepare"> & {
    readonly prefix: string
    readonly admin: TopicAdmin
    readonly onSkipped: OnSkipped
  }
): Effect.fn.Return<QueueConsumer, never, Scope.Scope> {
  const { admin, monotonicMs, onSkipped, prefix } = parts
  const inbox = new Inbox()
  const priorityOf = new Map<string, Priority>(
    priorities.map((priority) => [topicOf(prefix, { queue, priority }), priority])
  )
  /** Where each dispatch came from. What was taken before a rebalance points to offsets that nobody commits any more. */
  const origins = new WeakMap<Dispatch, Origin>()
  let partitions = new Map<string, Assigned>()

  const onAssigned: MembershipOptions["onAssigned"] = (assignment) => {
    partitions = new Map(
      Object.entries(assignment).flatMap(([topic, numbers]) =>
        numbers.map((partition) => [`${topic}/${partition}`, { topic, partition, offsets: new Offsets() }] as const)
      )
    )
    inbox.clear()
  }

  /** A message is done when all that came in it is. */
  const done = (batch: ReadonlyArray<Dispatch>) => {
    for (const dispatch of batch) {
      const origin = origins.get(dispatch)
      if (origin === undefined || !origins.delete(dispatch)) continue
      origin.openCount--
      if (origin.openCount === 0) origin.offsets.done(origin.offset)
    }
  }

  const onBatch = (batch: Batch) => {
    const priority = priorityOf.get(batch.topic)
    const offsets = partitions.get(`${batch.topic}/${batch.partition}`)?.offsets
    if (priority === undefined || offsets === undefined) return
    const arrivedAtMs = monotonicMs()
    for (const message of batch.messages) {
      const offset = Number(message.offset)
      offsets.arrived(offset)
      const decoded = decode(message.value, { queue, priority })
      if (typeof decoded === "string") {
        offsets.done(offset)
        onSkipped(batch.topic, decoded)
        continue
      }
      const origin = { offsets, offset, arrivedAtMs, openCount: decoded.length }
      for (const dispatch of decoded) {
        origins.set(dispatch, origin)
        if (inbox.offer(dispatch)) continue
        done([dispatch])
        onSkipped(batch.topic, "overflow")
      }
    }
    inbox.wakeTakers()
  }

  const commit = async (consumer: Consumer): Promise<void> => {
    const pending = [...partitions.values()].flatMap(({ offsets, partition, topic }) => {
      const offset = offsets.uncommitted
      return offset === undefined ? [] : [{ offset, offsets, partition, topic }]
    })
    if (pending.length === 0) return
    try {
      await consumer.commitOffsets(
        pending.map(({ offset, partition, topic }) => ({ topic, partition, offset: String(offset) }))
      )
      for (const { offset, offsets } of pending) offsets.committed(offset)
    } catch {
      // Lost partitions belong to others, who get the same dispatches once more; all else is tried again.
    }
  }

  const commitAgain = (consumer: Consumer) =>
    Effect.sleep(commitIntervalMs).pipe(
      Effect.andThen(Effect.promise(() => commit(consumer))),
      Effect.timeoutOption(commitMsMax),
      Effect.forever
    )

  const membership = new Membership({
    ...parts,
    name: `of queue ${queue}`,
    groupId: groupOf(prefix, queue),
    topics: [...priorityOf.keys()],
    fromBeginning: true,
    onBatch,
    onAssigned,
    onLeaving: commit,
    alongside: (consumer) =>
      Effect.raceFirst(
        commitAgain(consumer),
        standstill(queue, admin, () => partitions)
      )
  })
  yield* Effect.forkScoped(membership.run)

  let takenAtMs = monotonicMs()
  let droppedCount = 0
  const dropOld = Effect.sync(() => {
    if (inbox.size === 0) return
    const nowMs = monotonicMs()
    // A worker that takes goes on to do so; one that takes nothing has no slot for any of them.
    const untilMs = nowMs - (nowMs - takenAtMs < holdMsMax ? waitMsMax : holdMsMax)
    const dropped = inbox.drop((dispatch) => (origins.get(dispatch)?.arrivedAtMs ?? 0) <= untilMs)
    droppedCount += dropped.length
    done(dropped)
  })
  yield* dropOld.pipe(Effect.delay(dropIntervalMs), Effect.forever, Effect.forkScoped)

  const forget = (batch: ReadonlyArray<Dispatch>) => Effect.sync(() => done(batch))
  return {
    // What is declined is forgotten, as what nobody takes: somebody with a free slot pulls it, or the engine publishes it again.
    subscription: {
      droppedCount: () => droppedCount,
      offered: Effect.never,
      take: (room, unless) =>
        Effect.tap(inbox.take(room, unless), () =>
          Effect.sync(() => {
            takenAtMs = monotonicMs()
          })
        ),
      acknowledge: forget,
      decline: forget
    },
    status: () => ({
      queue,
      rebuiltCount: membership.rebuiltCount,
      assignedPartitions: partitions.size,
      lastFetchAgoMs: membership.lastFetchAgoMs
    })
  }
})

/** The message that a dispatch came in, with how many others that are not done. */
type Origin = { readonly offsets: Offsets; readonly offset: number; readonly arrivedAtMs: number; openCount: number }

type Assigned = { readonly topic: string; readonly partition: number; readonly offsets: Offsets }

/** Fails once a partition has had something to read at two looks in a row and has not moved between them. */
const standstill = Effect.fnUntraced(function* (
  queue: string,
  admin: TopicAdmin,
  assigned: () => ReadonlyMap<string, Assigned>
): Effect.fn.Return<never, KafkaFailure> {
  let behindBefore = new Map<Offsets, number>()
  while (true) {
    yield* Effect.sleep(standstillIntervalMs)
    if (assigned().size === 0) continue
    // Unanswered: the fetches will tell.
    const ends = yield* Effect.orElseSucceed(admin.offsets(queue), () => [])
    const behind = new Map<Offsets, number>()
    for (const { end, next, partition, topic } of ends) {
      const offsets = assigned().get(`${topic}/${partition}`)?.offsets
      const position = offsets?.position ?? next
      if (offsets === undefined || end <= position) continue
      behind.set(offsets, position)
      if (behindBefore.get(offsets) === position) {
        return yield* failure(
          "Standstill",
          `partition ${partition} of ${topic} stands still at ${position}, with messages up to ${end}`
        )
      }
    }
    behindBefore = behind
  }
})

/** Nothing waits longer, however fast others are taken: the engine publishes it again after two seconds. */
const waitMsMax = 1_000
/** Between two looks for what nobody has taken. */
const dropIntervalMs = holdMsMax / 2
/** So much is handled twice at most when a consumer dies; each commit costs a request. */
const commitIntervalMs = 200
const commitMsMax = 4_000
const standstillIntervalMs = 5_000
