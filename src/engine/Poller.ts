/**
 * Claims tasks shortly before they are due and arms them in the wheel.
 *
 * One claim at a time, as large as there is room (`claimPlan.ts`); the next one as soon as the first task known to be
 * unclaimed comes within the look-ahead, at a wake-up, or after the idle poll, which is longer while nothing is found
 * and then falls on the beat. While a claim was cut short by its limit the next follows at once; while the window is
 * full it is asked every 5 to 50 ms what is still outstanding.
 *
 * When somebody tells of a task that is due now and the queue has nothing else to start, a worker of this process is offered to start
 * it itself (ADR 6); the claim follows a moment later, for what was left.
 *
 * Nothing ends the loop but its interruption. A store that fails is logged when it begins and ends to, and asked again with
 * a growing pause. A claim whose answer was lost may have been made: it is looked up by the session before the next.
 */
import { Cause, Clock, Effect, Latch } from "effect"
import type { Broker } from "../broker/Broker.ts"
import type { Session } from "../store/Session.ts"
import { batchSizeMax, type Claimed, type ClaimedTask, type TaskStore } from "../store/TaskStore.ts"
import type { Beat } from "./Beat.ts"
import { claimInMs, type ClaimTimes, isHeldBack, isQuiet, kindsOf, type PlannedClaim, planClaims } from "./claimPlan.ts"
import type { Dispatcher } from "./Dispatcher.ts"
import type { DispatchMetrics } from "./dispatchMetrics.ts"
import type { EngineConfig } from "./EngineConfig.ts"
import type { KindDirectory } from "./KindDirectory.ts"
import { Outage } from "./Outage.ts"
import type { Outstanding } from "./Outstanding.ts"
import type { QueueLoad } from "./QueueLoad.ts"
import type { TimerWheel } from "./TimerWheel.ts"

export type Poller = {
  readonly run: Effect.Effect<never>
  /** Kinds may be claimed that could not be before. */
  readonly look: () => void
  /** Somebody scheduled a task due at this instant. */
  readonly wake: (dueAtMs: number) => void
  readonly claimedCount: () => number
}

export const make = Effect.fnUntraced(function* (parts: {
  readonly store: TaskStore["Service"]
  readonly session: Session["Service"]
  readonly broker: Broker["Service"]
  readonly outstanding: Outstanding
  readonly config: EngineConfig
  readonly directory: KindDirectory
  readonly wheel: TimerWheel
  readonly dispatcher: Dispatcher
  readonly metrics: DispatchMetrics
  readonly beat: Beat
}): Effect.fn.Return<Poller> {
  const { beat, broker, config, directory, dispatcher, metrics, outstanding, session, store, wheel } = parts
  const clock = yield* Clock.Clock
  const monotonicMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const times = (): ClaimTimes => ({ nowMs: wheel.nowMs(), monotonicMs: monotonicMs() })
  const storeOutage = new Outage("The store (claim)", monotonicMs)
  const outstandingOutage = new Outage("The store or the broker (outstanding)", monotonicMs)
  const woken = Latch.makeUnsafe()

  let hintDueAtMs = Number.POSITIVE_INFINITY
  let sessionId = session.id()
  let claimMayBeLost = false
  let claimedCount = 0
  let roomPauseMs = roomPauseMsMin
  /** Monotonic time of the claim after an offer; -Infinity when it has been made. */
  let offeredUntilMs = Number.NEGATIVE_INFINITY

  /** @returns how long to wait before the next round, in ms */
  const round = Effect.gen(function* () {
    woken.closeUnsafe()
    followSession()
    if (!session.isAlive()) return sessionPauseMs
    yield* directory.refreshIfStale(monotonicMs())
    // What is due is no longer armed, or it would count for less than it is.
    wheel.turn()
    if (claimMayBeLost) yield* findLostClaims
    // Without an answer what was outstanding, and all that was published since, is an upper bound, and good enough.
    yield* outstandingOutage.attempt(outstanding.observe(dispatcher.unpublished))
    if (offerDue()) return headStartMs
    takeHint()
    let tasksCount = 0
    for (const planned of planClaims(directory.loads, times(), config)) tasksCount += yield* claim(planned)
    return pauseMs(tasksCount)
  })

  /** A lost session's claims are somebody else's by now, or will be. */
  const followSession = () => {
    if (session.id() === sessionId) return
    sessionId = session.id()
    claimMayBeLost = false
    wheel.clear()
    dispatcher.clear()
    outstanding.clear()
    for (const load of directory.loads) load.expectDueAt(Number.NEGATIVE_INFINITY)
  }

  /** Whether a worker has taken the offer. Every other time at most, so that a claim follows each. */
  const offerDue = (): boolean => {
    const hasOffered = offeredUntilMs > Number.NEGATIVE_INFINITY
    offeredUntilMs = Number.NEGATIVE_INFINITY
    const nowMs = wheel.nowMs()
    if (hasOffered || hintDueAtMs > nowMs) return false
    for (const load of directory.loads) {
      const isBusy = load.kinds.length === 0 || load.pressingCount > 0 || load.nextDueAtMs <= nowMs
      if (isBusy || load.processes > offeringProcessesMax || !broker.offerDue(load.queue, load.kinds)) continue
      load.emptyClaims = 0
      offeredUntilMs = monotonicMs() + headStartMs
    }
    return offeredUntilMs > Number.NEGATIVE_INFINITY
  }

  const takeHint = () => {
    if (hintDueAtMs === Number.POSITIVE_INFINITY) return
    const isNear = hintDueAtMs <= wheel.nowMs() + config.lookAheadMs
    for (const load of directory.loads) {
      load.expectDueAt(hintDueAtMs)
      if (isNear) load.criticalWoken = true
    }
    hintDueAtMs = Number.POSITIVE_INFINITY
  }

  const claim = (planned: PlannedClaim) =>
    Effect.suspend(() => {
      const limit = Math.min(planned.limit, wheel.room)
      if (limit === 0) return Effect.succeed(0)
      const claimedAtMs = monotonicMs()
      const claimingId = sessionId
      return Effect.map(
        store.claim({
          sessionId: claimingId,
          ...kindsOf(planned),
          priorities: planned.priorities,
          lookAheadMs: planned.lookAheadMs,
          limit
        }),
        (claimed) => {
          observeClaim(planned, claimed, { claimedAtMs, limit })
          claimedCount += claimed.tasks.length
          if (session.id() === claimingId) arm(claimed.tasks)
          return claimed.tasks.length
        }
      )
    }).pipe(Effect.tapCause((cause) => Effect.sync(() => (claimMayBeLost ||= !isUntouched(Cause.squash(cause))))))

  /** What a claim has told about each of its queues. */
  const observeClaim = (
    { capped, loads, priorities, way }: PlannedClaim,
    { cappedForMs, nextDueAtMs, tasks }: Claimed,
    { claimedAtMs, limit }: { readonly claimedAtMs: number; readonly limit: number }
  ) => {
    const isCut = tasks.length >= limit
    const knownNextAtMs = nextDueAtMs ?? (isCut ? wheel.nowMs() : Number.POSITIVE_INFINITY)
    for (const load of loads) {
      load.observeClaim(monotonicMs() - claimedAtMs)
      switch (way) {
        case "critical":
          load.criticalClaimedAtMs = claimedAtMs
          load.criticalWoken = isCut
          if (isCut) load.floors.observe(tasksOf(load, tasks), isCut)
          break
        case "floor":
          load.floorClaimedAtMs = claimedAtMs
          for (const lane of priorities ?? [])
            load.floors.observeFloor(lane, tasksOf(load, tasks), isCut, wheel.nowMs())
          break
        case "capped":
          if (capped === undefined) break
          capped.claimedAtMs = claimedAtMs
          capped.emptyClaims = tasks.length === 0 ? capped.emptyClaims + 1 : 0
          capped.nextDueAtMs = knownNextAtMs
          capped.openAtMs = cappedForMs === null ? Number.NEGATIVE_INFINITY : monotonicMs() + cappedForMs
          break
        default:
          load.claimedAtMs = claimedAtMs
          load.emptyClaims = tasks.length === 0 ? load.emptyClaims + 1 : 0
          load.nextDueAtMs = knownNextAtMs
          load.floors.observe(tasksOf(load, tasks), isCut)
      }
    }
  }

  const tasksOf = (load: QueueLoad, tasks: ReadonlyArray<ClaimedTask>) =>
    tasks.filter(({ kind }) => directory.loadOf(kind) === load)

  const arm = (tasks: ReadonlyArray<ClaimedTask>) => {
    if (tasks.length === 0) return wheel.turn()
    const claimedAtMs = wheel.nowMs()
    const batch = tasks.map((task) => ({ task, load: directory.loadOf(task.kind), claimedAtMs }))
    for (const armed of batch) metrics.claimed(armed)
    wheel.add(batch)
  }

  const findLostClaims = Effect.gen(function* () {
    const lookingId = sessionId
    const tasks = yield* store.claimedBy(lookingId, wheel.nowMs() + config.lookAheadMs, batchSizeMax)
    claimMayBeLost = false
    if (session.id() === lookingId)
      arm(tasks.filter((task) => !dispatcher.holds(task) && !wheel.has(task.taskId, task.fence)))
  })

  const pauseMs = (tasksCount: number): number => {
    const now = times()
    if (tasksCount > 0) roomPauseMs = roomPauseMsMin
    const inMs = claimInMs(directory.loads, now, config)
    if (isHeldBack(directory.loads, now, config)) {
      const pause = Math.min(inMs, roomPauseMs)
      roomPauseMs = Math.min(roomPauseMs * 2, roomPauseMsMax)
      if (pause > 0) return pause
    }
    if (inMs > 0 && isQuiet(directory.loads, now, config)) return beat.joinedMs(inMs, config.idlePollMs)
    // Work is there and another engine was quicker, or its rows are locked: do not ask again in the same millisecond.
    return tasksCount === 0 ? Math.max(inMs, emptyPauseMs) : inMs
  }

  const run = Effect.gen(function* () {
    while (true) {
      const inMs = (yield* storeOutage.attempt(round)) ?? storeOutage.backoffMs
      metrics.armed(wheel.size)
      if (inMs <= 0) yield* Effect.yieldNow
      else yield* Effect.raceFirst(Effect.sleep(inMs), woken.await)
    }
  })

  return {
    run,
    look: () => woken.openUnsafe(),
    wake: (dueAtMs) => {
      hintDueAtMs = Math.min(hintDueAtMs, dueAtMs)
      if (dueAtMs <= wheel.nowMs() + config.lookAheadMs && monotonicMs() >= offeredUntilMs) woken.openUnsafe()
    },
    claimedCount: () => claimedCount
  }
})

/** Surely nothing was changed by the statement that failed. */
const isUntouched = (error: unknown): boolean =>
  typeof error === "object" && error !== null && "commitUnknown" in error && error.commitUnknown === false

/** First pause while the window is full, doubling while nothing starts. */
const roomPauseMsMin = 5
const roomPauseMsMax = 50
/** Pause after a round that claimed nothing although something is due. */
const emptyPauseMs = 5
/** All processes of a queue hear of the same task and start at once, and all but one in vain: more of them only claim. */
const offeringProcessesMax = 4
/** For a start under way, which has its rows locked after a round trip; what is left over waits so much longer. */
const headStartMs = 3
/** Between two looks at a session whose lease has run out; it is opened anew by its own renewal. */
const sessionPauseMs = 100
