/**
 * Publishes what the wheel releases, and again what seems to have been lost.
 *
 * Released tasks gather while a publish is under way and go out as the next batch, so a batch grows with the load and no
 * task waits for one; critical ones go their own way. What the broker refuses is kept and offered again with a growing pause, per queue; an
 * unavailable broker pauses all. What does not fit in memory is forgotten here: it stays claimed in the store.
 *
 * The republish rule: while the broker holds fewer dispatches of a queue than this session has unstarted claims of it,
 * some were lost on the way, or dropped by a worker without a free slot; those due and published more than two seconds
 * ago are published again. A hint that was not lost after all is harmless, and since repeated hints count as lag they stop
 * the rule: about two per task are ever under way, however long a service is down. Not of kinds that nobody serves or that
 * are paused: their claims go back.
 */
import { Clock, Effect, Latch } from "effect"
import type { Broker, Dispatch } from "../broker/Broker.ts"
import type { Session } from "../store/Session.ts"
import { batchSizeMax, type ClaimedTask, type TaskStore } from "../store/TaskStore.ts"
import type { DispatchMetrics } from "./dispatchMetrics.ts"
import type { Beat } from "./Beat.ts"
import type { KindDirectory } from "./KindDirectory.ts"
import { Outage } from "./Outage.ts"
import type { Outstanding, Unpublished } from "./Outstanding.ts"
import { type Armed, byUrgency, type QueueLoad } from "./QueueLoad.ts"

export type Dispatcher = {
  /** Takes what became due. Synchronous, so that the wheel can call it from its timer. */
  readonly accept: (batch: ReadonlyArray<Armed>) => void
  /** Whether the task is kept here, not yet taken by the broker. */
  readonly holds: (task: ClaimedTask) => boolean
  /** What is kept, for whoever learns that it has been started or given back. */
  readonly unpublished: Unpublished
  /** Forgets what is kept and returns it. */
  readonly clear: () => ReadonlyArray<Armed>
  readonly run: Effect.Effect<never>
  readonly republish: Effect.Effect<never>
  readonly publishedCount: () => number
  readonly republishedCount: () => number
}

export const make = Effect.fnUntraced(function* (parts: {
  readonly store: TaskStore["Service"]
  readonly session: Session["Service"]
  readonly broker: Broker["Service"]
  readonly directory: KindDirectory
  readonly outstanding: Outstanding
  /** The database's time, as estimated. */
  readonly nowMs: () => number
  readonly metrics: DispatchMetrics
  readonly beat: Beat
}): Effect.fn.Return<Dispatcher> {
  const { beat, broker, directory, metrics, nowMs, outstanding, session, store } = parts
  const clock = yield* Clock.Clock
  const monotonicMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const publishOutage = new Outage("The broker (publish)", monotonicMs)
  const republishOutage = new Outage("The store or the broker (republish)", monotonicMs)
  const ways: ReadonlyArray<Way> = [
    { takes: ({ task }) => task.priority === "critical", arrived: Latch.makeUnsafe() },
    { takes: ({ task }) => task.priority !== "critical", arrived: Latch.makeUnsafe() }
  ]

  /** By the id of the claim's event; in the order of release. */
  const kept = new Map<string, Armed>()
  const refusals = new Map<QueueLoad, Refusal>()
  const republishedAtMs = new Map<QueueLoad, number>()
  let publishedCount = 0
  /** Of all that was published. */
  let latestDueAtMs = Number.NEGATIVE_INFINITY
  /** So many had been published when none of them was left to start, at this monotonic time. */
  let settledCount = -1
  let settledAtMs = Number.NEGATIVE_INFINITY
  let republishedCount = 0

  const accept = (batch: ReadonlyArray<Armed>) => {
    for (const armed of batch) {
      if (kept.size >= keptTasksMax || kept.has(armed.task.fence.eventId)) continue
      kept.set(armed.task.fence.eventId, armed)
      armed.load.unpublishedCount++
      armed.load.unpublishedIn[armed.task.priority]++
    }
    if (kept.size > 0) for (const { arrived } of ways) arrived.openUnsafe()
  }

  const forget = (armed: Armed): boolean => {
    if (!kept.delete(armed.task.fence.eventId)) return false
    armed.load.unpublishedCount--
    armed.load.unpublishedIn[armed.task.priority]--
    return true
  }

  const clear = () => {
    const all = [...kept.values()]
    for (const armed of all) forget(armed)
    return all
  }

  /** What may go out on this way now, and when the first of the rest may. */
  const nextBatch = ({ takes }: Way): { readonly batch: ReadonlyArray<Armed>; readonly retryInMs: number } => {
    const atMs = monotonicMs()
    const open: Array<Armed> = []
    let retryAtMs = Number.POSITIVE_INFINITY
    for (const armed of kept.values()) {
      if (!takes(armed)) continue
      const refusal = refusals.get(armed.load)
      if (refusal === undefined || refusal.untilMs <= atMs) open.push(armed)
      else retryAtMs = Math.min(retryAtMs, refusal.untilMs)
    }
    // Each tick came in order; what had to wait gathered over many.
    const hasWaited = open.length > publishBatchSizeMax || refusals.size > 0 || publishOutage.isOpen
    const batch = hasWaited ? open.toSorted(byUrgency).slice(0, publishBatchSizeMax) : open
    return { batch, retryInMs: retryAtMs - atMs }
  }

  const publish = Effect.fnUntraced(function* (batch: ReadonlyArray<Armed>) {
    const dispatchedAtMs = nowMs()
    const answers = yield* broker.publish(batch.map((armed) => dispatchOf(armed, dispatchedAtMs)))
    const refusing = new Set<QueueLoad>()
    batch.forEach((armed, index) => {
      if (answers[index] !== "Published") refusing.add(armed.load)
      // Gone if the session was lost meanwhile.
      else if (forget(armed)) {
        outstanding.published(armed)
        metrics.published(armed, dispatchedAtMs)
        publishedCount++
        latestDueAtMs = Math.max(latestDueAtMs, armed.task.dueAtMs)
      }
    })
    for (const armed of batch) if (!refusing.has(armed.load)) refusals.delete(armed.load)
    for (const load of refusing) {
      const pauseMs = Math.min(refusalPauseMsMax, (refusals.get(load)?.pauseMs ?? refusalPauseMsMin / 2) * 2)
      refusals.set(load, { pauseMs, untilMs: monotonicMs() + pauseMs })
    }
  })

  const publishFor = Effect.fnUntraced(function* (way: Way): Effect.fn.Return<never> {
    while (true) {
      way.arrived.closeUnsafe()
      const { batch, retryInMs } = nextBatch(way)
      if (batch.length > 0) {
        yield* publishOutage.attempt(publish(batch))
        if (publishOutage.isOpen) yield* Effect.sleep(publishOutage.backoffMs)
      } else {
        yield* retryInMs === Number.POSITIVE_INFINITY
          ? way.arrived.await
          : Effect.raceFirst(Effect.sleep(retryInMs), way.arrived.await)
      }
    }
  })
  const run = Effect.raceAllFirst(ways.map(publishFor))

  const republishOverdue = Effect.gen(function* () {
    const isSettled = settledCount === publishedCount && monotonicMs() - settledAtMs < settledMsMax
    if (isSettled && kept.size === 0) return
    const sessionId = session.id()
    const overdueBeforeMs = nowMs() - republishAfterMs
    const lookedCount = publishedCount
    // All that had been published by then is due before: with that no more, there is nothing to look for until the next publish. Not
    // by the time since: the database's clock may have been set back meanwhile.
    const isAllOverdue = latestDueAtMs < overdueBeforeMs
    if ((yield* store.claimedBy(sessionId, overdueBeforeMs, 1)).length === 0) {
      if (!isAllOverdue) return
      settledCount = lookedCount
      settledAtMs = monotonicMs()
      return
    }
    const heldBefore = new Map<QueueLoad, number>()
    for (const load of directory.loads) heldBefore.set(load, yield* outstanding.inBroker(load))
    const claims = yield* store.claimedBy(sessionId, nowMs(), batchSizeMax)
    if (session.id() !== sessionId) return
    const published = claims.filter((task) => !kept.has(task.fence.eventId) && directory.isServable(task.kind))
    for (const [load, tasks] of Map.groupBy(published, (task) => directory.loadOf(task.kind))) {
      const atMs = monotonicMs()
      const isRecent = atMs - (republishedAtMs.get(load) ?? Number.NEGATIVE_INFINITY) < republishAfterMs
      const inBroker = heldBefore.get(load) ?? 0
      if (isRecent || inBroker >= tasks.length) continue
      const overdue = tasks.filter(
        (task) => task.dueAtMs < overdueBeforeMs && outstanding.publishedAtMs(task) < atMs - republishAfterMs
      )
      if (overdue.length === 0) continue
      republishedAtMs.set(load, atMs)
      republishedCount += overdue.length
      yield* Effect.logDebug(
        `Publishing ${overdue.length} tasks of queue ${load.queue} again: due more than ${republishAfterMs} ms ago, not started, and the broker holds ${inBroker} of ${tasks.length} that it was given.`
      )
      accept(overdue.map((task) => ({ task, load, repeat: Math.max(1, outstanding.publishedTimes(task)) })))
    }
  })

  const republish = Effect.gen(function* () {
    while (true) {
      yield* Effect.sleep(beat.inMs(republishAfterMs / 2))
      yield* republishOutage.attempt(republishOverdue)
    }
  })

  return {
    accept,
    holds: (task) => kept.has(task.fence.eventId),
    unpublished: {
      size: () => kept.size,
      forgetWhere: (isGone) => [...kept.values()].filter((armed) => isGone(armed.task) && forget(armed))
    },
    clear,
    run,
    republish,
    publishedCount: () => publishedCount,
    republishedCount: () => republishedCount
  }
})

const dispatchOf = ({ load, repeat = 0, task }: Armed, dispatchedAtMs: number): Dispatch => ({
  taskId: task.taskId,
  fence: task.fence,
  kind: task.kind,
  queue: load.queue,
  priority: task.priority,
  dueAtMs: task.dueAtMs,
  dispatchedAtMs,
  repeat,
  isSuspect: task.isSuspect
})

/** Two publishes may be under way at once, one of critical tasks alone: those never wait for hundreds of others to be stored. */
type Way = { readonly takes: (armed: Armed) => boolean; readonly arrived: Latch.Latch }

type Refusal = { readonly pauseMs: number; readonly untilMs: number }

/** Dispatches per call of the broker: some 200 KB, well below a Kafka request's limit of 1 MB. */
const publishBatchSizeMax = 1_000
/** Tasks kept for the broker, all queues together; more than the windows of five busy queues. */
const keptTasksMax = 10_000
const refusalPauseMsMin = 20
const refusalPauseMsMax = 1_000
/**
 * That nothing is left to start is believed so long: a failover that loses the commit of a start gives the claim back, and nobody is told.
 * In an idle engine a look each ten seconds is 0.1 statements a second.
 */
const settledMsMax = 10_000
/** A claim due so long ago and not started is looked for. Ten times what a healthy broker needs at its worst. */
export const republishAfterMs = 2_000
