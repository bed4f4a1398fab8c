/**
 * What the broker has taken and nobody is known to have started: the outer part of an engine's window.
 *
 * Within a process the broker knows it exactly and at once: its lag. Between processes counting what lies in a broker is
 * slow and says nothing of what a worker without a free slot has dropped. So the engine counts out what it publishes and
 * hears from the workers what they have started (hints, batched, may be lost). The database has the last word: while
 * something is outstanding for longer than a hint takes, the claims of this session are looked up, and what is not among
 * them any more (started, cancelled, moved, expired) is outstanding no longer, whether its hint came or not.
 */
import { Clock, Effect, Queue, type Scope } from "effect"
import type { Broker, BrokerUnavailable } from "../broker/Broker.ts"
import { priorities, rankOf } from "../core/Priority.ts"
import type { EventId } from "../core/TaskId.ts"
import type { Session } from "../store/Session.ts"
import type { StoreUnavailable } from "../store/StoreError.ts"
import { batchSizeMax, type ClaimedTask, type TaskStore } from "../store/TaskStore.ts"
import type { KindDirectory } from "./KindDirectory.ts"
import { type Armed, type LaneCounts, noTasks, type QueueLoad } from "./QueueLoad.ts"

export type Outstanding = {
  /** The broker has taken a dispatch of this claim. */
  readonly published: (armed: Armed) => void
  /** Brings the loads up to date. `unpublished`: what the dispatcher keeps, which workers may have pulled meanwhile. */
  readonly observe: (unpublished: Unpublished) => Effect.Effect<void, BrokerUnavailable | StoreUnavailable>
  /** Dispatches of a queue that lie in the broker, whatever became of their tasks. */
  readonly inBroker: (load: QueueLoad) => Effect.Effect<number, BrokerUnavailable>
  /** How often this claim has been published; 0: not, or not by this engine. */
  readonly publishedTimes: (task: ClaimedTask) => number
  /** Monotonic time of the last dispatch of this claim; -Infinity when it is not outstanding. */
  readonly publishedAtMs: (task: ClaimedTask) => number
  readonly forget: (eventId: EventId) => void
  readonly clear: () => void
}

export type Unpublished = {
  readonly size: () => number
  /** Forgets those for which this holds, and returns them. */
  readonly forgetWhere: (isGone: (task: ClaimedTask) => boolean) => ReadonlyArray<Armed>
}

type Parts = {
  readonly store: TaskStore["Service"]
  readonly session: Session["Service"]
  readonly broker: Broker["Service"]
  readonly directory: KindDirectory
  /** The database's time, as estimated. */
  readonly nowMs: () => number
}

export const make = (parts: Parts): Effect.Effect<Outstanding, never, Scope.Scope> =>
  parts.broker.reach === "process" ? withinProcess(parts) : ofFleet(parts)

const withinProcess = Effect.fnUntraced(function* ({ broker, directory }: Parts): Effect.fn.Return<Outstanding> {
  const clock = yield* Clock.Clock
  const observeLoad = Effect.fnUntraced(function* (load: QueueLoad) {
    load.observeLag(yield* broker.lag(load.queue), monotonicMsOf(clock))
  })
  return {
    published: ({ load }) => {
      load.publishedCount++
    },
    observe: () => Effect.forEach(directory.loads, observeLoad, { discard: true }),
    inBroker: (load) => Effect.map(observeLoad(load), () => load.lagCount),
    publishedTimes: () => 0,
    publishedAtMs: () => Number.NEGATIVE_INFINITY,
    forget: () => {},
    clear: () => {}
  }
})

type Entry = { readonly task: ClaimedTask; readonly load: QueueLoad; publishedAtMs: number; publishedTimes: number }

const ofFleet = Effect.fnUntraced(function* (parts: Parts): Effect.fn.Return<Outstanding, never, Scope.Scope> {
  const { broker, directory, nowMs, session, store } = parts
  const clock = yield* Clock.Clock
  const entries = new Map<EventId, Entry>()
  const countsByLoad = new Map<QueueLoad, LaneCounts>()
  let lookedUpAtMs = Number.NEGATIVE_INFINITY

  const countsOf = (load: QueueLoad): LaneCounts => {
    let counts = countsByLoad.get(load)
    if (counts === undefined) {
      counts = noTasks()
      countsByLoad.set(load, counts)
    }
    return counts
  }

  const published = ({ load, task }: Armed) => {
    // It waits for the one place that a worker has for suspects, and must not close the window to all others meanwhile.
    if (task.isSuspect) return
    const publishedAtMs = monotonicMsOf(clock)
    const before = entries.get(task.fence.eventId)
    if (before !== undefined) {
      before.publishedAtMs = publishedAtMs
      before.publishedTimes++
      return
    }
    entries.set(task.fence.eventId, { task, load, publishedAtMs, publishedTimes: 1 })
    countsOf(load)[task.priority]++
    load.publishedCount++
  }

  const forget = (eventId: EventId) => {
    const entry = entries.get(eventId)
    if (entry === undefined) return
    entries.delete(eventId)
    countsOf(entry.load)[entry.task.priority]--
  }

  const hear = (started: ReadonlyArray<EventId>) => {
    for (const eventId of started) {
      entries.get(eventId)?.load.observeNews("hint")
      forget(eventId)
    }
  }
  const hints = yield* broker.startedHints
  yield* Queue.takeAll(hints).pipe(
    Effect.map((batches) => batches.forEach(hear)),
    Effect.forever,
    Effect.forkScoped
  )

  /** Insertion order is the order of first publication, so the first entry is the oldest but for repeated ones. */
  const hasOld = (atMs: number): boolean => {
    for (const { publishedAtMs } of entries.values()) return atMs - publishedAtMs > hintMsMax
    return false
  }

  const lookUp = Effect.fnUntraced(function* (unpublished: Unpublished) {
    const sessionId = session.id()
    const askedAtMs = monotonicMsOf(clock)
    lookedUpAtMs = askedAtMs
    const dueBeforeMs = nowMs()
    const claims = yield* store.claimedBy(sessionId, dueBeforeMs, batchSizeMax)
    if (session.id() !== sessionId) return
    const claimed = new Set(claims.map(({ fence }) => fence.eventId))
    // A cut answer, most urgent first, says nothing of what comes behind its last row.
    const last = claims.length < batchSizeMax ? undefined : claims.at(-1)
    const isGone = (task: ClaimedTask): boolean =>
      !claimed.has(task.fence.eventId) && task.dueAtMs < dueBeforeMs && (last === undefined || isBefore(task, last))
    for (const { load } of unpublished.forgetWhere(isGone)) load.observePulled()
    for (const { load, publishedAtMs, task } of entries.values()) {
      if (publishedAtMs >= askedAtMs || !isGone(task)) continue
      load.observeNews("look-up")
      forget(task.fence.eventId)
    }
  })

  return {
    published,
    observe: Effect.fnUntraced(function* (unpublished) {
      const atMs = monotonicMsOf(clock)
      const isStale = atMs - lookedUpAtMs >= lookUpMsMin
      if (isStale && (hasOld(atMs) || unpublished.size() > 0)) yield* lookUp(unpublished)
      for (const load of directory.loads) load.observeLag(countsOf(load), monotonicMsOf(clock))
    }),
    inBroker: (load) =>
      Effect.map(broker.lag(load.queue), (lag) => priorities.reduce((sum, priority) => sum + lag[priority], 0)),
    publishedTimes: ({ fence }) => entries.get(fence.eventId)?.publishedTimes ?? 0,
    publishedAtMs: ({ fence }) => entries.get(fence.eventId)?.publishedAtMs ?? Number.NEGATIVE_INFINITY,
    forget,
    clear: () => {
      for (const eventId of entries.keys()) forget(eventId)
    }
  }
})

/** The order in which the store answers `claimedBy`. */
const isBefore = (task: ClaimedTask, last: ClaimedTask): boolean =>
  (rankOf(task.priority) - rankOf(last.priority) || task.dueAtMs - last.dueAtMs) < 0

const monotonicMsOf = (clock: Clock.Clock): number => Number(clock.monotonicTimeNanosUnsafe()) / 1e6

/** A start not heard of for so long may have been one whose hint was lost. Ten times a healthy round trip. */
const hintMsMax = 100
/** Between two look-ups: ten statements a second at most, each over the claims of the fleet, some thousands. */
const lookUpMsMin = 100
