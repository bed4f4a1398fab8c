import { Cause, Clock, Effect, Exit, Fiber, Option, type Scope } from "effect"
import type { EventId } from "../core/TaskId.ts"
import { TaskTracer } from "../DuetimeTraces.ts"
import { Ids } from "../store/Ids.ts"
import { Session } from "../store/Session.ts"
import { type Started, TaskStore } from "../store/TaskStore.ts"
import type { AttemptRunner, HandlerFilter } from "./AttemptRunner.ts"
import { monotonicMsOf, recordGraceMs } from "./Deadlines.ts"
import type { Handler } from "./Handlers.ts"
import type { Outage } from "./Outage.ts"
import type { Slots } from "./Slots.ts"

/**
 * Starts what is due now without a dispatch, where engine and worker are one process and the engine has nothing else to do: claim
 * and start in one statement, which saves a round trip and the way through wheel and broker (docs/adr/0006). What does not fit
 * is left to the engine, which claims a moment later.
 */
export type DueStarter = {
  readonly startDue: (handlers: ReadonlyArray<Handler>) => Effect.Effect<void>
  /** Requests under way that may start tasks of these handlers. */
  readonly count: (isMeant: HandlerFilter) => number
}

/** More at once are a backlog, which is dispatched in larger batches and by priority. */
export const startDueMax = 32
/**
 * How long after a lost answer its starts are looked for, and how often. Longer than any statement runs (30 s): one that arrived
 * late must not leave an attempt behind that nobody knows of until its deadline.
 */
const lookForMs = 35_000
const lookEveryMs = 1_000
/** Lost answers whose starts are looked for at the same time; while there are so many, what is due is dispatched. */
export const lookedForMax = 20

type Request = {
  readonly sessionId: number
  readonly eventIds: ReadonlyArray<EventId>
  readonly handlerOf: ReadonlyMap<string, Handler>
  readonly sentAtMs: number
}

export const makeDueStarter: (
  runner: AttemptRunner,
  slots: Slots,
  storeOutage: Outage
) => Effect.Effect<DueStarter, never, TaskStore | Session | Scope.Scope> = Effect.fnUntraced(
  function* (runner, slots, storeOutage) {
    const clock = yield* Clock.Clock
    const store = yield* TaskStore
    const session = yield* Session
    const { eventId } = yield* Ids
    const scope = yield* Effect.scope
    const isTraced = (yield* TaskTracer) !== null
    const underWay = new Set<ReadonlyArray<Handler>>()
    let lookedForCount = 0

    const run = (started: ReadonlyArray<Started>, { handlerOf, sentAtMs, sessionId }: Request) => {
      for (const one of started) {
        const handler = handlerOf.get(one.kind)
        if (handler !== undefined)
          runner.run(one, { task: trusted, handler, dispatched: "direct" }, sessionId, sentAtMs)
      }
    }

    const send = Effect.fnUntraced(function* (request: Request) {
      let mayBeMade = false
      const { eventIds, handlerOf, sessionId } = request
      const kinds = Array.from(handlerOf, ([kind, { policy }]) => ({
        kind,
        timeoutMs: policy.timeoutMs + recordGraceMs
      }))
      const answer = yield* store.startDue({ sessionId, kinds, eventIds, isTraced }).pipe(
        Effect.tapError((error) => Effect.sync(() => (mayBeMade = error.commitUnknown))),
        (start) => storeOutage.outlast(start, () => true),
        Effect.exit
      )
      if (Exit.isSuccess(answer)) return { started: Option.getOrElse(answer.value, () => []), mayBeMade }
      if (Cause.hasInterruptsOnly(answer.cause)) return yield* Effect.failCause(answer.cause)
      yield* Effect.logError("what is due cannot be started directly; it will be dispatched", answer.cause)
      return { started: [], mayBeMade: true }
    })

    /** None: the session is another one, and whatever was started is expired. */
    const lookFor = ({ eventIds, sessionId }: Request) =>
      storeOutage.outlast(store.startedWith(eventIds), () => session.id() !== sessionId)

    /** An answer that was lost may also be one to a request that is still to arrive. */
    const lookOn = Effect.fnUntraced(function* (request: Request, found: ReadonlyArray<Started>) {
      const known = new Set(found.map(({ fence }) => fence.eventId))
      for (let lookedMs = 0; lookedMs < lookForMs; lookedMs += lookEveryMs) {
        yield* Effect.sleep(lookEveryMs)
        const answer = yield* lookFor(request)
        if (Option.isNone(answer)) return
        const late = answer.value.filter(({ fence }) => !known.has(fence.eventId))
        for (const { fence } of late) known.add(fence.eventId)
        slots.take(late.map(() => trusted))
        run(late, request)
      }
    })

    const startDue = Effect.fnUntraced(function* (handlers: ReadonlyArray<Handler>) {
      const count = Math.min(slots.open(), startDueMax)
      if (count <= 0 || handlers.length === 0 || !session.isAlive() || lookedForCount >= lookedForMax) return
      const request: Request = {
        sessionId: session.id(),
        eventIds: Array.from({ length: count }, eventId),
        handlerOf: new Map(handlers.map((handler) => [handler.policy.kind, handler])),
        sentAtMs: monotonicMsOf(clock)
      }
      slots.take(request.eventIds.map(() => trusted))
      underWay.add(handlers)
      const { mayBeMade, started: answered } = yield* send(request)
      const started = mayBeMade ? Option.getOrElse(yield* lookFor(request), () => []) : answered
      if (mayBeMade) {
        lookedForCount++
        const stopped = Effect.sync(() => void lookedForCount--)
        yield* Effect.forkIn(Effect.ensuring(lookOn(request, started), stopped), scope)
      }
      run(started, request)
      underWay.delete(handlers)
      slots.give(request.eventIds.slice(started.length).map(() => trusted))
    })

    return {
      // Whoever asks may be interrupted while the answer is on its way, and what was started must be run.
      startDue: (handlers) => Effect.flatMap(Effect.forkIn(startDue(handlers), scope), Fiber.join),
      count: (isMeant) => {
        let count = 0
        for (const handlers of underWay) if (handlers.some(isMeant)) count++
        return count
      }
    }
  }
)

/** Suspects are left to dispatches. */
const trusted = { isSuspect: false }
