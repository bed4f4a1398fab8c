import { type Clock, Data, Exit, type Tracer } from "effect"
import type { Outcome } from "../core/TaskCommand.ts"
import type { Stage } from "../core/TaskState.ts"
import { laneAttributes, messaging, scheduleSpanOf, startSpan } from "../DuetimeTraces.ts"
import type { Started } from "../store/TaskStore.ts"
import { type Arrival, type OutcomeWord, outcomeWords } from "./attemptMetrics.ts"

/** One attempt in its trace (`DuetimeTraces.ts` has the picture). */
export type AttemptTrace = {
  /** Parent of whatever the handler traces. */
  readonly parent: Tracer.AnySpan
  /** The outcome is decided, and on its way to the store. */
  readonly settled: (outcome: Outcome) => void
  /** What the store has said; null: nothing was recorded, and the supervisor decides. */
  readonly ended: (outcome: OutcomeWord | null, stage: Stage | "lost" | null) => void
}

export type AttemptTraces = {
  readonly begin: (started: Started, queue: string, arrival: Arrival) => AttemptTrace
}

export const makeAttemptTraces = (
  tracer: Tracer.Tracer,
  clock: Clock.Clock,
  /** Database clock minus that of this process, in ms. */
  clockOffsetMs: () => number
): AttemptTraces => {
  const nowNanos = () => clock.currentTimeNanosUnsafe()

  return {
    begin: (started, queue, arrival) => {
      const scheduled = started.traced === undefined ? null : scheduleSpanOf(started.traced.traceparent)
      // The caller's spans are not exported: neither are the handler's, whose parent this is.
      if (scheduled?.sampled === false) return unsampled(scheduled)
      const { attempt, kind, priority, taskId } = started
      const facts = {
        ...laneAttributes({ kind, priority, queue }),
        "messaging.message.id": taskId,
        "duetime.task.id": taskId,
        "duetime.attempt": attempt
      }
      const drift = driftAttributes(started, arrival)
      const startedAtNanos = nowNanos()
      if (scheduled !== null) {
        const dueAtNanos = BigInt(Math.round((started.dueAtMs - clockOffsetMs()) * 1e6))
        const attributes = { ...facts, ...drift }
        const name = `dispatch ${kind}`
        const span = { name, kind: "internal" as const, parent: scheduled, startedAtNanos: dueAtNanos, attributes }
        startSpan(tracer, span).end(startedAtNanos, Exit.void)
      }
      const span = startSpan(tracer, {
        name: `attempt ${kind}`,
        kind: "consumer",
        parent: scheduled,
        startedAtNanos,
        attributes: { ...facts, ...messaging("process"), ...drift }
      })
      let record: Tracer.Span | null = null
      let exit: Exit.Exit<void, AttemptFailed> = Exit.void
      return {
        parent: span,
        settled: (outcome) => {
          if (outcome._tag === "Fail") {
            span.attribute("error.type", outcome.error.name)
            exit = Exit.fail(new AttemptFailed({ errorName: outcome.error.name }))
          }
          const attributes = { ...messaging("settle"), "duetime.outcome": outcomeWords[outcome._tag] }
          const name = `record ${kind}`
          record = startSpan(tracer, { name, kind: "client", parent: span, startedAtNanos: nowNanos(), attributes })
        },
        ended: (outcome, stage) => {
          const endedAtNanos = nowNanos()
          record?.end(endedAtNanos, Exit.void)
          // Interrupted in the middle of something that must not be repeated unasked: the supervisor parks it.
          span.attribute("duetime.outcome", outcome ?? "interrupted")
          if (stage !== null) span.attribute("duetime.stage", stage)
          span.end(endedAtNanos, exit)
        }
      }
    }
  }
}

/** Without its message, which may quote the payload and stands in the task's history. */
class AttemptFailed extends Data.TaggedError("AttemptFailed")<{ readonly errorName: string }> {
  override get message(): string {
    return `the attempt failed with ${this.errorName}`
  }
}

const unsampled = (parent: Tracer.ExternalSpan): AttemptTrace => ({ parent, settled: () => {}, ended: () => {} })

/** The parts that are known here; of an attempt that was scheduled without a trace nobody has looked up its claim. */
const driftAttributes = ({ dueAtMs, startedAtMs, traced }: Started, arrival: Arrival) => {
  const total = { "duetime.drift_ms": startedAtMs - dueAtMs }
  const dispatchedAtMs = typeof arrival === "number" ? arrival : null
  const delivery = dispatchedAtMs === null ? {} : { "duetime.delivery_lag_ms": startedAtMs - dispatchedAtMs }
  if (traced === undefined) return { ...total, ...delivery }
  const readyAtMs = Math.max(dueAtMs, traced.claimedAtMs)
  return {
    ...total,
    "duetime.claim_lag_ms": readyAtMs - dueAtMs,
    ...(dispatchedAtMs === null
      ? { "duetime.delivery_lag_ms": startedAtMs - readyAtMs }
      : { "duetime.dispatch_lag_ms": dispatchedAtMs - readyAtMs, ...delivery })
  }
}
