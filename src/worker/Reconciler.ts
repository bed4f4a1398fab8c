import { Cause, Effect, Exit, Fiber, Option, Random, type Scope } from "effect"
import { askMsMax } from "../core/asks.ts"
import type { Reconciliation } from "../core/TaskCommand.ts"
import { Ids } from "../store/Ids.ts"
import { Session } from "../store/Session.ts"
import { type Finished, type Parked, TaskStore } from "../store/TaskStore.ts"
import { toAttemptError } from "./errorText.ts"
import type { Handler } from "./Handlers.ts"
import type { Outage } from "./Outage.ts"

/**
 * Finds parked tasks of the kinds served here whose handler has a reconciler, asks the outside what became of their
 * attempts, and records what it says.
 *
 * Nobody holds a task while it is asked about. Taking one puts its next ask off, so that another worker does not ask at the
 * same time; and should two ask all the same, each records its answer by compare-and-set on the fence of the parking, and
 * one of them has lost. A lease would be one more thing that can be lost, and protect nothing: an ask changes nothing in the
 * outside.
 */
export type Reconciler = {
  /** Looks for the handler's parked tasks from now on. */
  readonly serve: (handler: Handler) => Effect.Effect<void>
  /** Interrupts what is being asked for the handler; it is asked again, here or elsewhere. */
  readonly stop: (handler: Handler) => Effect.Effect<void>
}

/** Between two looks for parked tasks: one probe of an index. Small against the lease that must end before a task is parked. */
const lookIntervalMs = 2_000
/** Asks at the same time in one worker, and never more than it has slots: the outside expects no more of it. */
const asksAtOnceMax = 50
/** How long interrupted asks may take to stop. */
const stopGraceMs = 3_000

export const makeReconciler: (
  handlers: ReadonlyMap<string, Handler>,
  slotsTotal: number,
  outage: Outage
) => Effect.Effect<Reconciler, never, TaskStore | Session | Scope.Scope> = Effect.fnUntraced(
  function* (handlers, slotsTotal, outage) {
    const store = yield* TaskStore
    const session = yield* Session
    const { eventId } = yield* Ids
    const scope = yield* Effect.scope
    const asks = new Map<Fiber.Fiber<void>, Handler>()
    const placesCount = Math.min(slotsTotal, asksAtOnceMax)
    let isLooking = false

    const look = Effect.gen(function* () {
      const kinds = Array.from(handlers.values()).flatMap(({ policy, reconcile }) => (reconcile ? [policy.kind] : []))
      const limit = placesCount - asks.size
      if (kinds.length === 0 || limit <= 0 || !session.isAlive()) return
      for (const parked of yield* store.takeParked({ kinds, limit })) {
        const handler = handlers.get(parked.kind)
        // Its layer has closed meanwhile: somebody asks when the time comes.
        if (handler === undefined) continue
        // In no scope: closing one waits for its fibers, and a reconciler that does not stop must not hold up the worker.
        const fiber = yield* Effect.forkDetach(reconcile(parked, handler))
        asks.set(fiber, handler)
        // A reconciler that does not stop keeps its place, so that there are never more of them.
        fiber.addObserver(() => asks.delete(fiber))
      }
    })

    const reconcile = (parked: Parked, handler: Handler) =>
      Effect.gen(function* () {
        const answer = yield* ask(parked, handler)
        if (answer === null) return yield* noAnswer(parked)
        const { policy } = handler
        const request = { taskId: parked.taskId, fence: parked.fence, eventId: eventId(), answer, policy }
        const finished = yield* outage.outlast(store.reconcile(request))
        if (Option.isSome(finished)) yield* reconciled(answer, finished.value)
      }).pipe(
        Effect.catchDefect((defect) => Effect.logError("an answer cannot be stored; the task stays parked", defect)),
        Effect.annotateLogs({ taskId: parked.taskId, kind: parked.kind, attempt: parked.attempt })
      )

    return {
      serve: Effect.fnUntraced(function* (handler) {
        if (handler.reconcile === null || isLooking) return
        isLooking = true
        yield* Effect.gen(function* () {
          while (true) {
            yield* outage.outlast(look, () => true)
            // Spread, so that the workers of a fleet do not ask in one voice.
            yield* Effect.sleep(lookIntervalMs * (yield* Random.nextBetween(0.8, 1.2)))
          }
        }).pipe(Effect.forkIn(scope))
      }),
      stop: (handler) =>
        Effect.suspend(() =>
          Fiber.interruptAll(Array.from(asks).flatMap(([fiber, asked]) => (asked === handler ? [fiber] : [])))
        ).pipe(Effect.interruptible, Effect.timeoutOption(stopGraceMs), Effect.asVoid)
    }
  }
)

/** Null: not known, not reached, or not in time. */
const ask = Effect.fnUntraced(function* (parked: Parked, handler: Handler): Effect.fn.Return<Reconciliation | null> {
  if (handler.reconcile === null) return null
  const asked = yield* Effect.exit(Effect.timeoutOption(handler.reconcile(parked), askMsMax))
  if (Exit.isSuccess(asked)) {
    if (Option.isNone(asked.value)) yield* Effect.logWarning(`a reconciler has not answered within ${askMsMax} ms`)
    return Option.getOrNull(asked.value)
  }
  if (Cause.hasInterruptsOnly(asked.cause)) return yield* Effect.interrupt
  // The name only: the message may quote the payload.
  yield* Effect.logWarning(`a reconciler failed with ${toAttemptError(Cause.squash(asked.cause)).name}`)
  return null
})

const noAnswer = ({ askedCount, isLastAsk }: Parked) =>
  isLastAsk
    ? Effect.logWarning(`nobody knows what became of an attempt after ${askedCount} asks; its task waits for a person`)
    : Effect.logDebug("nobody knows yet what became of an attempt")

const reconciled = (answer: Reconciliation, finished: Finished) => {
  if (finished._tag === "Lost") return Effect.logDebug("a parked task was moved by somebody else")
  const what = answer._tag === "Done" ? "has done its work" : "has done nothing"
  return finished.stage === "dead"
    ? Effect.logWarning(`a task is a dead letter: its last attempt was interrupted and ${what}`)
    : Effect.logDebug(`an interrupted attempt ${what}; its task is ${finished.stage}`)
}
