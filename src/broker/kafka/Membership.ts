/**
 * A consumer that cannot die quietly. kafkajs ends one for good on some errors, and some have been seen alive, beating
 * and never fetching again; so whatever happens, the consumer is made anew, for ever, with a growing pause.
 */
import { Deferred, Effect } from "effect"
import type { Batch, Consumer } from "kafkajs"
import { metadataMaxAgeMs, retry, type Clients } from "./KafkaClient.ts"
import { failure, failureOf, isTopicUnknown, type KafkaFailure } from "./kafkaErrors.ts"
import * as Link from "./Link.ts"

export type MembershipOptions = {
  /** For the log: `of queue emails`. */
  readonly name: string
  readonly groupId: string
  readonly topics: ReadonlyArray<string>
  readonly fromBeginning: boolean
  /** Before each try: makes topics, or says which is missing. */
  readonly prepare: Effect.Effect<void, KafkaFailure>
  readonly clients: Clients
  readonly session: SessionTimeout
  readonly monotonicMs: () => number
  /** Synchronous, and the same turn for all batches of one answer of a broker. */
  readonly onBatch: (batch: Batch) => void
  /** Joined, or assigned anew: reading goes on from what the group has committed. */
  readonly onAssigned: (assignment: Readonly<Record<string, ReadonlyArray<number>>>) => void
  /** About to give up its partitions, in a rebalance or for good: the last moment to commit. */
  readonly onLeaving: (consumer: Consumer) => Promise<void>
  /** Runs while it is a member; a failure says that it must be made anew. */
  readonly alongside: (consumer: Consumer) => Effect.Effect<never, KafkaFailure>
}

/** Shared by all consumers of the program: the cluster's limit is the same for all. */
export type SessionTimeout = { ms: number }

export class Membership {
  #options: MembershipOptions
  #lastFetchMs: number | undefined
  #builtCount = 0

  constructor(options: MembershipOptions) {
    this.#options = options
  }

  get rebuiltCount(): number {
    return Math.max(0, this.#builtCount - 1)
  }

  get lastFetchAgoMs(): number | null {
    return this.#lastFetchMs === undefined ? null : this.#options.monotonicMs() - this.#lastFetchMs
  }

  /** Joins, and joins again. */
  readonly run: Effect.Effect<never> = Effect.gen({ self: this }, function* () {
    const { monotonicMs, name } = this.#options
    let toldTrouble: string | undefined
    let failedTries = 0
    let hasJoined = false
    let backoffMs = backoffMsMin
    while (true) {
      let joinedAtMs: number | undefined
      const joined = Effect.suspend(() => {
        joinedAtMs = monotonicMs()
        if (toldTrouble === undefined) return Effect.void
        toldTrouble = undefined
        return Effect.logInfo(`The consumer ${name} is back.`)
      })
      this.#builtCount++
      const error = yield* Effect.flip(Effect.scoped(this.#session(joined)))
      this.#options.onAssigned({})
      if (yield* this.#adoptsLongerSession(error)) continue
      if (joinedAtMs !== undefined && monotonicMs() - joinedAtMs > steadyAfterMs) backoffMs = backoffMsMin
      failedTries = joinedAtMs === undefined ? failedTries + 1 : 1
      hasJoined ||= joinedAtMs !== undefined
      // Said once per trouble: a cluster that is back without its topics is another trouble than one that is away. The first
      // try of all may come too early for a cluster that has never had a group.
      if (toldTrouble !== troubleOf(error) && (hasJoined || failedTries > 1)) {
        toldTrouble = troubleOf(error)
        yield* Effect.logWarning(
          `The consumer ${name} is away: ${error.reason}. Trying again until it is back; tasks are pulled from the store meanwhile.`
        )
      }
      yield* Effect.sleep(backoffMs)
      backoffMs = error.isRefusal ? backoffMsMax : Math.min(backoffMsMax, backoffMs * 2)
    }
  })

  #session(joined: Effect.Effect<void>): Effect.Effect<never, KafkaFailure> {
    return Effect.scoped(
      Effect.gen({ self: this }, function* () {
        const { alongside, fromBeginning, onAssigned, onBatch, onLeaving, prepare, topics } = this.#options
        yield* prepare
        const ended = Deferred.makeUnsafe<never, KafkaFailure>()
        const consumer = yield* Effect.acquireRelease(
          Effect.sync(() => this.#consumer()),
          (consumer) => Link.disconnect(() => onLeaving(consumer).then(() => consumer.disconnect()))
        )
        const { CRASH, FETCH, GROUP_JOIN, HEARTBEAT, REBALANCING, STOP } = consumer.events
        let stoppedAtMs: number | undefined
        let isMember = false
        let lastBeatMs: number | undefined
        consumer.on(CRASH, ({ payload }) => void Deferred.doneUnsafe(ended, Effect.fail(failureOf(payload.error))))
        // A crash stops it first, and then says why.
        consumer.on(STOP, () => void (stoppedAtMs = this.#options.monotonicMs()))
        consumer.on(FETCH, () => void (this.#lastFetchMs = this.#options.monotonicMs()))
        consumer.on(HEARTBEAT, () => void (lastBeatMs = this.#options.monotonicMs()))
        consumer.on(REBALANCING, () => void onLeaving(consumer))
        consumer.on(GROUP_JOIN, ({ payload }) => {
          isMember = true
          this.#lastFetchMs = this.#options.monotonicMs()
          lastBeatMs = this.#lastFetchMs
          onAssigned(payload.memberAssignment)
        })
        const join = async () => {
          await consumer.connect()
          await consumer.subscribe({ topics: [...topics], fromBeginning })
          await consumer.run({
            autoCommit: false,
            // All batches of an answer are handed over in the same turn, without heartbeats between them.
            partitionsConsumedConcurrently: partitionsConcurrentlyMax,
            eachBatch: async ({ batch }) => onBatch(batch)
          })
        }
        const failed = Deferred.await(ended)
        yield* Effect.raceFirst(Effect.tryPromise({ try: join, catch: failureOf }), failed).pipe(
          Effect.timeoutOrElse({
            duration: joinMsMax,
            orElse: () => Effect.fail(failure("NoJoin", `could not join within ${joinMsMax} ms`))
          })
        )
        if (isMember) yield* joined
        const watch = Effect.gen({ self: this }, function* () {
          while (true) {
            yield* Effect.sleep(watchIntervalMs)
            const nowMs = this.#options.monotonicMs()
            if (stoppedAtMs !== undefined && nowMs - stoppedAtMs > watchIntervalMs) {
              return yield* failure("Stopped", "it stopped without a reason")
            }
            if (nowMs - (this.#lastFetchMs ?? nowMs) > fetchSilenceMsMax) {
              return yield* failure("Silent", `it fetched nothing for ${fetchSilenceMsMax} ms`)
            }
            if (nowMs - (lastBeatMs ?? nowMs) > beatSilenceMsMax) {
              return yield* failure("NoBeat", `it told the group nothing for ${beatSilenceMsMax} ms`)
            }
          }
        })
        return yield* Effect.raceAllFirst([failed, watch, alongside(consumer)])
      })
    )
  }

  #consumer(): Consumer {
    return this.#options.clients().consumer({
      groupId: this.#options.groupId,
      allowAutoTopicCreation: false,
      maxWaitTimeInMs: fetchWaitMs,
      heartbeatInterval: heartbeatIntervalMs,
      sessionTimeout: this.#options.session.ms,
      rebalanceTimeout: rebalanceTimeoutMs,
      metadataMaxAge: metadataMaxAgeMs,
      readUncommitted: true,
      retry: { ...retry, restartOnFailure: async () => false }
    })
  }

  /** A cluster with Kafka's default limit: longer, rather than never. */
  #adoptsLongerSession(error: KafkaFailure): Effect.Effect<boolean> {
    const { session } = this.#options
    if (error.kind !== "INVALID_SESSION_TIMEOUT" || session.ms >= sessionTimeoutMsKafka) return Effect.succeed(false)
    const refusedMs = session.ms
    session.ms = sessionTimeoutMsKafka
    return Effect.as(
      Effect.logWarning(
        `The cluster refuses a session timeout of ${refusedMs} ms, so a dead worker's partitions wait ${sessionTimeoutMsKafka} ms. Lower group.min.session.timeout.ms on the brokers, or set DUETIME_KAFKA_SESSION_TIMEOUT.`
      ),
      true
    )
  }
}

const troubleOf = (error: KafkaFailure): string =>
  error.isRefusal ? "refused" : isTopicUnknown(error) ? "topic missing" : "unreachable"

/** How long a broker holds an empty fetch; also how often the consumer sees that it lives. */
const fetchWaitMs = 250
const heartbeatIntervalMs = 300
/** Members that have not come back by then lose their partitions. Ours come within a fetch. */
const rebalanceTimeoutMs = 5_000
/** Kafka's own default of group.min.session.timeout.ms. */
const sessionTimeoutMsKafka = 6_000
/** Longer than a rebalance that waits for its slowest member. */
const joinMsMax = 15_000
const watchIntervalMs = 1_000
/** Forty fetches that did not come. */
const fetchSilenceMsMax = 10_000
/**
 * The group has let go of it long ago, and it does not know. kafkajs beats by the wall clock: on a node whose clock is set back it
 * beats no more until that time has come again, and fetches on what is others' by now.
 */
const beatSilenceMsMax = 10_000
const partitionsConcurrentlyMax = 64
const backoffMsMin = 200
const backoffMsMax = 5_000
/** A consumer that lived so long begins with the shortest pause again. */
const steadyAfterMs = 10_000
