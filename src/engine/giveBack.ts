/**
 * Releases claims unstarted, so that others need not wait for a lease to end: all of them when the engine stops, and while
 * it runs those of kinds that have been paused or that no live worker serves any more. A service that is down so holds
 * nothing but its tasks' rows in the database, and comes back to an order that is decided anew.
 */
import { Clock, Effect } from "effect"
import { Broker } from "../broker/Broker.ts"
import type { ReleaseReason } from "../core/TaskEvent.ts"
import type { TaskId } from "../core/TaskId.ts"
import type { Fence } from "../core/TaskState.ts"
import { Ids } from "../store/Ids.ts"
import { Session } from "../store/Session.ts"
import { batchSizeMax, TaskStore } from "../store/TaskStore.ts"
import type { Beat } from "./Beat.ts"
import type { Dispatcher } from "./Dispatcher.ts"
import type { KindDirectory } from "./KindDirectory.ts"
import { Outage } from "./Outage.ts"
import type { Outstanding } from "./Outstanding.ts"
import type { TimerWheel } from "./TimerWheel.ts"

type Claim = { readonly taskId: TaskId; readonly fence: Fence }

/** How many were given back. */
const release = Effect.fnUntraced(function* (claims: ReadonlyArray<Claim>, reason: ReleaseReason) {
  const store = yield* TaskStore
  const { eventId } = yield* Ids
  const answers = yield* store.release(
    claims.map(({ fence, taskId }) => ({ taskId, fence, eventId: eventId(), reason }))
  )
  return answers.filter((answer) => answer === "Released").length
})

/**
 * What is held here, and what is found by the session, for the last claim may have been made without its answer being
 * seen. Within a process that is all claims, since the broker's dispatches end with it; a fleet's workers may still start
 * what has been published, so only claims not due yet go back.
 */
export const giveBackAll = Effect.fnUntraced(function* (held: ReadonlyArray<Claim>, nowMs: () => number) {
  const store = yield* TaskStore
  const session = yield* Session
  const { reach } = yield* Broker
  let releasedCount = 0
  for (let first = 0; first < held.length; first += batchSizeMax) {
    releasedCount += yield* release(held.slice(first, first + batchSizeMax), "drained")
  }
  let isDone = false
  while (!isDone) {
    const claims = yield* store.claimedBy(session.id(), nowMs() + dayMs, batchSizeMax)
    const own = reach === "process" ? claims : claims.filter(({ dueAtMs }) => dueAtMs > nowMs())
    const count = own.length === 0 ? 0 : yield* release(own, "drained")
    isDone = count === 0
    releasedCount += count
  }
  if (releasedCount > 0) yield* Effect.logInfo(`Gave ${releasedCount} claims back.`)
})

/** Looks once a second while there are such kinds. A start that comes first has won, and its claim is not given back. */
export const giveBackWithdrawn = Effect.fnUntraced(function* (parts: {
  readonly beat: Beat
  readonly directory: KindDirectory
  readonly wheel: TimerWheel
  readonly dispatcher: Dispatcher
  readonly outstanding: Outstanding
  readonly nowMs: () => number
}): Effect.fn.Return<never, never, TaskStore | Session> {
  const { beat, directory, dispatcher, nowMs, outstanding, wheel } = parts
  const store = yield* TaskStore
  const session = yield* Session
  const clock = yield* Clock.Clock
  const outage = new Outage("The store (release)", () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6)

  const look = Effect.gen(function* () {
    if (!directory.hasWithdrawn || !session.isAlive()) return
    const claims = yield* store.claimedBy(session.id(), nowMs() + dayMs, batchSizeMax)
    const withdrawn = claims.filter(({ kind }) => !directory.isServable(kind))
    if (withdrawn.length === 0) return
    const ids = new Set(withdrawn.map(({ fence }) => fence.eventId))
    for (const { fence, taskId } of withdrawn) {
      if (wheel.has(taskId, fence)) wheel.remove(taskId)
      outstanding.forget(fence.eventId)
    }
    dispatcher.unpublished.forgetWhere(({ fence }) => ids.has(fence.eventId))
    const paused = withdrawn.filter(({ kind }) => directory.isPaused(kind))
    if (paused.length > 0) yield* release(paused, "paused")
    const others = withdrawn.filter(({ kind }) => !directory.isPaused(kind))
    if (others.length > 0) yield* release(others, "unserved")
  })

  while (true) {
    yield* Effect.sleep(beat.inMs())
    yield* outage.attempt(look)
  }
})

/** Beyond every look-ahead. */
const dayMs = 86_400_000
