import { Cause, Clock, Effect, Exit, type Fiber, Schedule, type Scope } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Outcome } from "../core/TaskCommand.ts"
import type { Json, ReleaseReason } from "../core/TaskEvent.ts"
import type { Stage } from "../core/TaskState.ts"
import { CommitUnsupported } from "../DuetimeError.ts"
import { attemptsStuck } from "../DuetimeMetrics.ts"
import { TaskTracer } from "../DuetimeTraces.ts"
import { Ids } from "../store/Ids.ts"
import { Session } from "../store/Session.ts"
import { LeaseLost, StoreUnavailable } from "../store/StoreError.ts"
import { type Started, TaskStore } from "../store/TaskStore.ts"
import type { CommitFailure } from "./Attempt.ts"
import { AttemptInterrupted, AttemptTimedOut } from "./AttemptFailure.ts"
import { AttemptObserver } from "./AttemptObserver.ts"
import { type Arrival, makeAttemptMetrics, outcomeWords, type OutcomeWord } from "./attemptMetrics.ts"
import { type AttemptTrace, makeAttemptTraces } from "./attemptTraces.ts"
import { CommitSql } from "./CommitSql.ts"
import { makeDeadlines, monotonicMsOf } from "./Deadlines.ts"
import type { Handler } from "./Handlers.ts"
import { retryWaitMsMax, retryWaitMsMin } from "./Outage.ts"
import { outcomeOf, outcomeOfFailure } from "./Outcome.ts"
import type { OutcomeRecorder } from "./OutcomeRecorder.ts"
import type { Slots, SlotTaker } from "./Slots.ts"

/**
 * One started attempt, step by step: check the own lease, call the handler in a fiber, watch its deadline, turn its
 * exit into an outcome, hand that to the recorder, give the slot back. Everything but the handler is synchronous,
 * because it happens ten thousand times a second.
 *
 * Three things may end a running attempt, and the first of them decides: the handler's exit; its deadline, which
 * records the failure at once and interrupts the handler, so that one that ignores interruption cannot hold the
 * record; and the drain, which interrupts and then gives the attempt back uncharged. Where the policy says "park", an
 * interrupted handler may have acted or not, so nothing is recorded and the supervisor parks the task.
 */
export type AttemptRunner = {
  /** `sentAtMs` is the monotonic time before the start was sent: the timeout counts from there. */
  readonly run: (started: Started, candidate: Startable, sessionId: number, sentAtMs: number) => void
  /** Interrupts the attempts of these handlers, to be given back. */
  readonly interrupt: (isMeant: HandlerFilter) => void
  /** Gives attempts back whose handlers have not stopped when they were interrupted. */
  readonly abandon: (isMeant: HandlerFilter) => void
  /** Attempts that have a slot. */
  readonly count: (isMeant: HandlerFilter) => number
  /** Handlers that were interrupted at their deadline and run on. */
  readonly stuckCount: () => number
}

export type HandlerFilter = (handler: Handler) => boolean

/** What of a claim outlives its start. */
export type Startable = {
  readonly task: SlotTaker
  readonly handler: Handler
  /** Null: pulled from the store. */
  readonly dispatched: { readonly dispatch: { readonly dispatchedAtMs: number } } | "direct" | null
}

type Running = {
  readonly started: Started
  readonly handler: Handler
  readonly isSuspect: boolean
  readonly deadlineMonotonicMs: number
  readonly trace: AttemptTrace | null
  fiber: Fiber.Fiber<Json, unknown> | null
  isDraining: boolean
  /** The outcome is decided; what the handler does from now on changes nothing. */
  isSettled: boolean
  /** The outcome is in the store, or is left to the supervisor. */
  isDone: boolean
  hasEnded: boolean
  hasSlot: boolean
}

export const makeAttemptRunner: (
  recorder: OutcomeRecorder,
  slots: Slots
) => Effect.Effect<AttemptRunner, never, TaskStore | Session | Scope.Scope> = Effect.fnUntraced(
  function* (recorder, slots) {
    const clock = yield* Clock.Clock
    const store = yield* TaskStore
    const session = yield* Session
    const sql = yield* CommitSql
    const { eventId } = yield* Ids
    const observer = yield* AttemptObserver
    const context = yield* Effect.context<never>()
    const metrics = makeAttemptMetrics(context)
    const tracer = yield* TaskTracer
    const traces = tracer === null ? null : makeAttemptTraces(tracer, clock, store.clockOffsetMs)
    const log = Effect.runForkWith(context)
    const running = new Set<Running>()
    const stuck = new Set<Running>()
    const setStuck = (attempt: Running, isStuck: boolean) => {
      if (isStuck) stuck.add(attempt)
      else if (!stuck.delete(attempt)) return
      attemptsStuck.updateUnsafe(stuck.size, context)
    }
    const deadlines = yield* makeDeadlines<Running>((attempt) => overdue(attempt))

    const run: AttemptRunner["run"] = (started, { dispatched, handler, task }, sessionId, sentAtMs) => {
      // Without the lease, or past its deadline, somebody else may have the task by now; if nobody has, it is given back, since no
      // handler was called.
      const isOver = sentAtMs + handler.policy.timeoutMs <= monotonicMsOf(clock)
      if (isOver || !session.isAlive() || session.id() !== sessionId) {
        const request = { started, eventId: eventId(), outcome: unbegun, policy: handler.policy }
        return recorder.record(request, () => slots.give([task]))
      }
      const arrival = arrivalOf(dispatched)
      const { queue } = handler.policy
      const attempt: Running = {
        started,
        handler,
        trace: traces?.begin(started, queue, arrival) ?? null,
        isSuspect: task.isSuspect,
        deadlineMonotonicMs: sentAtMs + handler.policy.timeoutMs,
        fiber: null,
        isDraining: false,
        isSettled: false,
        isDone: false,
        hasEnded: false,
        hasSlot: true
      }
      running.add(attempt)
      deadlines.watch(attempt)
      metrics.started(started, queue, arrival)
      notify(() => observer.started(started, clock.currentTimeMillisUnsafe()))
      attempt.fiber = handler.begin({
        started,
        parentSpan: attempt.trace?.parent ?? null,
        commit: (body, resultOf) => commit(attempt, body, resultOf)
      })
      attempt.fiber.addObserver((exit) => ended(attempt, exit))
    }

    const commit = <A, E, R>(
      attempt: Running,
      body: (sql: SqlClient) => Effect.Effect<A, E, R>,
      resultOf: (value: A) => Json
    ): Effect.Effect<A, E | CommitFailure, R> =>
      Effect.suspend((): Effect.Effect<A, E | CommitFailure, R> => {
        const { handler, started } = attempt
        if (sql === null) return Effect.fail(new CommitUnsupported({ taskId: started.taskId }))
        if (attempt.isSettled || !session.isAlive()) {
          return Effect.fail(new LeaseLost({ taskId: started.taskId, attempt: started.attempt }))
        }
        const ids = { started, eventId: eventId(), policy: handler.policy }
        // An outage is no failure of the handler: its transaction is rolled back, or had been committed with this event. It may
        // last longer than the lease, since nobody is given the task before a lease of quiet time; and if somebody is, the
        // fence tells.
        const mayRepeat = (error: E | CommitFailure) => isOutage(error) && !attempt.isSettled
        // An interruption between the commit and the note of it would record an attempt that has succeeded as released.
        return Effect.uninterruptibleMask((restore) =>
          restore(
            store
              .finishWith(
                Effect.suspend(() => body(sql)),
                (value) => ({ ...ids, outcome: { _tag: "Succeed", result: resultOf(value) } })
              )
              .pipe(Effect.retry({ while: mayRepeat, schedule: repeats }))
          ).pipe(Effect.tap(() => Effect.sync(() => done(attempt, "succeeded", "succeeded"))))
        )
      })

    const ended = (attempt: Running, exit: Exit.Exit<Json, unknown>) => {
      deadlines.forget(attempt)
      setStuck(attempt, false)
      attempt.hasEnded = true
      if (attempt.isSettled) return giveSlot(attempt)
      // The lease ended in an outage, or for good: then the fence has gone and nothing is recorded. No fault of the handler.
      if (isLeaseLost(exit, attempt.started.taskId)) return giveBack(attempt, "session-lost")
      if (!attempt.isDraining || Exit.isSuccess(exit)) {
        return settle(attempt, outcomeOf(exit) ?? outcomeOfFailure(new AttemptInterrupted()))
      }
      giveBack(attempt, "drained")
    }

    const overdue = (attempt: Running) => {
      const { policy } = attempt.handler
      setStuck(attempt, true)
      if (!attempt.isSettled && policy.onInterrupted === "retry") {
        settle(attempt, outcomeOfFailure(new AttemptTimedOut({ timeoutMs: policy.timeoutMs })))
      }
      attempt.isDraining = true
      attempt.fiber?.interruptUnsafe()
      if (!attempt.isSettled) giveBack(attempt, "drained")
      giveSlot(attempt)
    }

    const giveBack = (attempt: Running, reason: ReleaseReason) =>
      attempt.handler.policy.onInterrupted === "park"
        ? done(attempt, null, null)
        : settle(attempt, { _tag: "Release", reason })

    const settle = (attempt: Running, outcome: Outcome) => {
      const { handler, started } = attempt
      attempt.isSettled = true
      attempt.trace?.settled(outcome)
      recorder.record({ started, eventId: eventId(), outcome, policy: handler.policy }, (finished) => {
        const stage = finished._tag === "Recorded" ? finished.stage : "lost"
        if (outcome._tag === "Fail" || stage === "dead") log(failureLine(started, outcome, stage))
        done(attempt, stage, stage === "lost" ? "lost" : outcomeWords[outcome._tag])
      })
    }

    /** `stage` is null when the supervisor has to decide where the task goes. */
    const done = (attempt: Running, stage: Stage | "lost" | null, outcome: OutcomeWord | null) => {
      // A commit and the record of its timeout may have met; the store has accepted one of them, and it answered first.
      if (attempt.isDone) return
      attempt.isSettled = true
      attempt.isDone = true
      attempt.trace?.ended(outcome, stage)
      if (stage !== null && outcome !== null) {
        metrics.ended(attempt.started, attempt.handler.policy.queue, outcome, stage)
        notify(() => observer.ended(attempt.started, stage))
      }
      giveSlot(attempt)
    }

    /** A stuck handler keeps no slot, unless there are more of them than slots: then the worker has to take less. */
    const giveSlot = (attempt: Running) => {
      const isLetGo = attempt.hasEnded || (stuck.has(attempt) && stuck.size <= slots.total)
      if (!attempt.hasSlot || !attempt.isDone || !isLetGo) return
      attempt.hasSlot = false
      running.delete(attempt)
      slots.give([attempt])
    }

    const notify = (callback: () => void) => {
      try {
        callback()
      } catch (error) {
        log(Effect.logError("the attempt observer threw an error", error))
      }
    }

    return {
      run,
      interrupt: (isMeant) => {
        for (const attempt of running) {
          if (attempt.hasEnded || !isMeant(attempt.handler)) continue
          attempt.isDraining = true
          attempt.fiber?.interruptUnsafe()
        }
      },
      abandon: (isMeant) => {
        for (const attempt of running) {
          if (attempt.hasEnded || !isMeant(attempt.handler)) continue
          setStuck(attempt, true)
          if (attempt.isSettled) giveSlot(attempt)
          else giveBack(attempt, "drained")
        }
      },
      count: (isMeant) => {
        let count = 0
        for (const attempt of running) if (isMeant(attempt.handler)) count++
        return count
      },
      stuckCount: () => stuck.size
    }
  }
)

/** The error's name only: its message may quote the payload. Where it can be read stands behind it. */
const failureLine = (started: Started, outcome: Outcome, stage: Stage | "lost"): Effect.Effect<void> => {
  const what = outcome._tag === "Fail" ? `failed with ${outcome.error.name}` : "was discarded"
  const { attempt, kind, taskId } = started
  const line =
    stage === "dead"
      ? Effect.logWarning(`a task is a dead letter: it ${what}; "duetime dead show ${taskId}" tells why`)
      : Effect.logDebug(`an attempt ${what}`)
  return Effect.annotateLogs(line, { taskId, kind, attempt })
}

const arrivalOf = (dispatched: Startable["dispatched"]): Arrival =>
  dispatched === null ? "pulled" : dispatched === "direct" ? "direct" : dispatched.dispatch.dispatchedAtMs

/** Of an attempt whose handler was not called: it cannot have acted, whatever the policy says of interruptions. */
const unbegun: Outcome = { _tag: "Release", reason: "session-lost" }

const isLeaseLost = (exit: Exit.Exit<Json, unknown>, taskId: string): boolean =>
  Exit.isFailure(exit) &&
  exit.cause.reasons.some(
    (reason) => Cause.isFailReason(reason) && reason.error instanceof LeaseLost && reason.error.taskId === taskId
  )

const repeats = Schedule.min([Schedule.exponential(retryWaitMsMin), Schedule.spaced(retryWaitMsMax)])

const isOutage = (error: unknown): boolean => error instanceof StoreUnavailable && error.commitUnknown
