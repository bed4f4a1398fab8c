import { Cause, Clock, Effect, Exit, Option, type Scope } from "effect"
import type { Dispatch, Subscription } from "../broker/Broker.ts"
import type { EventId } from "../core/TaskId.ts"
import { lostStartsTotal } from "../DuetimeMetrics.ts"
import { TaskTracer } from "../DuetimeTraces.ts"
import { Ids } from "../store/Ids.ts"
import { Session } from "../store/Session.ts"
import { batchSizeMax, type ClaimedTask, type StartRequest, TaskStore } from "../store/TaskStore.ts"
import type { AttemptRunner, HandlerFilter } from "./AttemptRunner.ts"
import { monotonicMsOf, recordGraceMs } from "./Deadlines.ts"
import { makeGate } from "../broker/Gate.ts"
import type { Handler } from "./Handlers.ts"
import type { Outage } from "./Outage.ts"
import type { Slots } from "./Slots.ts"

/**
 * Turns claims into started attempts by compare-and-set on their fences, in batches without waiting for one to
 * fill: what arrives while a start is under way makes up the next batch. Dispatches are acknowledged once the
 * starts are committed, won or lost, and before a handler runs: from then on the lease guards the task, and a long
 * handler never holds up the broker. What the worker has pulled from the store by itself comes without a dispatch.
 */
export type Starter = {
  /** Each must have a slot already. */
  readonly start: (candidates: ReadonlyArray<Candidate>) => void
  /** Claims on their way to these handlers. */
  readonly count: (isMeant: HandlerFilter) => number
}

export type Candidate = {
  readonly task: ClaimedTask
  /** How it came here; null: pulled. */
  readonly dispatched: { readonly dispatch: Dispatch; readonly subscription: Subscription } | null
  readonly handler: Handler
}

/** Starts under way at once: one is being committed while the next one is sent. */
const batchesInParallel = 2
/**
 * Tasks of a batch while no other is under way. When a crowd is due at once its first do not wait for a statement about hundreds, and the
 * rest follows at once in the second one: the first of 20,000 was called after 9.3 ms, with whole batches after 13.5.
 */
const firstBatchSizeMax = 50
/** Longest wait for a task whose dispatch came before it was due, and tries before it is left to the engine. */
const tooEarlyWaitMsMax = 1_000
const tooEarlyTriesMax = 3
/** Wait after finding this process without a lease. */
const leaseWaitMs = 100

type Entry = Candidate & { readonly eventId: string; readonly tries: number }

export const makeStarter: (
  runner: AttemptRunner,
  slots: Slots,
  isServed: HandlerFilter,
  outages: { readonly store: Outage; readonly broker: Outage },
  /** Told, after the commit, which claims have been started. */
  onStarted: (claims: ReadonlyArray<EventId>) => void
) => Effect.Effect<Starter, never, TaskStore | Session | Scope.Scope> = Effect.fnUntraced(
  function* (runner, slots, isServed, outages, onStarted) {
    const clock = yield* Clock.Clock
    const store = yield* TaskStore
    const session = yield* Session
    const { eventId } = yield* Ids
    const scope = yield* Effect.scope
    const context = yield* Effect.context<never>()
    const isTraced = (yield* TaskTracer) !== null
    const gate = makeGate()
    const waiting: Array<Entry> = []
    const underWay = new Set<ReadonlyArray<Entry>>()

    const add = (entries: ReadonlyArray<Entry>) => {
      waiting.push(...entries)
      gate.changed()
    }

    const startBatch = Effect.fnUntraced(function* (batch: ReadonlyArray<Entry>): Effect.fn.Return<void> {
      if (!session.isAlive()) {
        // What was claimed may be somebody else's by now; a dispatch is a hint, and the next one will come.
        yield* drop(batch)
        return yield* Effect.sleep(leaseWaitMs)
      }
      const sessionId = session.id()
      let sentAtMs = 0
      const attempted = yield* Effect.suspend(() => {
        sentAtMs = monotonicMsOf(clock)
        return store.start(
          sessionId,
          batch.map((entry) => requestOf(entry, isTraced))
        )
      }).pipe((start) => outages.store.outlast(start, () => session.id() !== sessionId), Effect.exit)

      if (Exit.isFailure(attempted)) return yield* afterDefect(batch, attempted.cause)
      if (Option.isNone(attempted.value)) return yield* drop(batch)
      const answers = attempted.value.value
      yield* Effect.forkIn(acknowledge(batch), scope, { startImmediately: true })

      const early: Array<Entry> = []
      let earlyDueInMs = 0
      const lost: Array<ClaimedTask> = []
      const started: Array<EventId> = []
      for (const [index, entry] of batch.entries()) {
        const answer = answers[index]
        if (answer?._tag === "Started") {
          started.push(entry.task.fence.eventId)
          runner.run(answer, entry, sessionId, sentAtMs)
        } else if (answer?._tag === "TooEarly" && entry.tries < tooEarlyTriesMax) {
          early.push(entry)
          earlyDueInMs = Math.max(earlyDueInMs, answer.dueInMs)
        } else lost.push(entry.task)
      }
      if (started.length > 0) onStarted(started)
      if (early.length > 0) yield* Effect.forkIn(startLater(early, earlyDueInMs), scope)
      if (lost.length === 0) return
      lostStartsTotal.updateUnsafe(lost.length, context)
      slots.give(lost)
    })

    /** The engine's estimate of the database's clock ran ahead: waits as long as the database says, for the last of them. */
    const startLater = Effect.fnUntraced(function* (early: ReadonlyArray<Entry>, dueInMs: number) {
      yield* Effect.sleep(Math.min(Math.max(1, dueInMs), tooEarlyWaitMsMax))
      add(early.map((entry) => ({ ...entry, tries: entry.tries + 1 })))
    })

    /** One of them cannot be started, by a fault of ours: halving finds it, and the others are started. */
    const afterDefect = Effect.fnUntraced(function* (
      batch: ReadonlyArray<Entry>,
      cause: Cause.Cause<never>
    ): Effect.fn.Return<void> {
      if (Cause.hasInterruptsOnly(cause)) return yield* Effect.failCause(cause)
      const [first] = batch
      if (batch.length === 1 && first !== undefined) {
        yield* Effect.logError("a task cannot be started", cause).pipe(
          Effect.annotateLogs({ taskId: first.task.taskId, kind: first.task.kind })
        )
        return yield* drop(batch)
      }
      const half = batch.length >> 1
      yield* startBatch(batch.slice(0, half))
      yield* startBatch(batch.slice(half))
    })

    const drop = Effect.fnUntraced(function* (batch: ReadonlyArray<Entry>) {
      yield* acknowledge(batch)
      slots.give(batch.map(({ task }) => task))
    })

    /** One try: a dispatch that comes again is lost at its fence. */
    const acknowledge = Effect.fnUntraced(function* (batch: ReadonlyArray<Entry>) {
      const dispatched = batch.flatMap((entry) => entry.dispatched ?? [])
      for (const [subscription, entries] of Map.groupBy(dispatched, (entry) => entry.subscription)) {
        yield* outages.broker.outlast(subscription.acknowledge(entries.map((entry) => entry.dispatch)), () => true)
      }
    })

    const loop = Effect.gen(function* () {
      while (true) {
        yield* gate.until(() => waiting.length > 0)
        // The opener resumed this fiber in its own stack; what it still adds in the same turn joins the batch.
        yield* Effect.yieldNow
        const taken = waiting.splice(0, underWay.size === 0 ? firstBatchSizeMax : batchSizeMax)
        const closed = taken.filter((entry) => !isServed(entry.handler))
        if (closed.length > 0) yield* drop(closed)
        const batch = closed.length === 0 ? taken : taken.filter((entry) => isServed(entry.handler))
        if (batch.length === 0) continue
        underWay.add(batch)
        yield* startBatch(batch)
        underWay.delete(batch)
        // Wakes a drain that waits for the count to fall.
        slots.changed()
      }
    })
    for (let fiber = 0; fiber < batchesInParallel; fiber++) yield* Effect.forkScoped(loop)

    const countIn = (entries: ReadonlyArray<Entry>, isMeant: HandlerFilter) =>
      entries.reduce((count, entry) => (isMeant(entry.handler) ? count + 1 : count), 0)

    return {
      count: (isMeant) => {
        let count = countIn(waiting, isMeant)
        for (const batch of underWay) count += countIn(batch, isMeant)
        return count
      },
      start: (candidates) => add(candidates.map((candidate) => ({ ...candidate, eventId: eventId(), tries: 1 })))
    }
  }
)

const requestOf = ({ dispatched, eventId, handler, task }: Entry, isTraced: boolean): StartRequest => ({
  taskId: task.taskId,
  fence: task.fence,
  eventId,
  timeoutMs: handler.policy.timeoutMs + recordGraceMs,
  dispatchedAtMs: dispatched === null ? null : dispatched.dispatch.dispatchedAtMs,
  isTraced
})
