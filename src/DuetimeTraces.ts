import { Context, Effect, Option, References, Tracer } from "effect"
import { spanContextOf, traceparentOf } from "./core/traceparent.ts"
import type { Lane } from "./DuetimeMetrics.ts"

/**
 * Traces from the caller of `schedule` to the outcome, in whatever processes that happens:
 *
 * ```
 * caller's span
 * `-- schedule charge-card                     the caller; its context is stored with the task (W3C traceparent)
 *     |-- dispatch charge-card                 due time to start, which is the drift; told by the worker
 *     |-- attempt charge-card                  the worker; spans of the handler are its children
 *     |   |-- (what the handler traces)
 *     |   `-- record charge-card               until the outcome is in the store
 *     |-- dispatch charge-card                 a retry: beside the first attempt, in the same trace
 *     `-- attempt charge-card
 * ```
 *
 * Whether a trace is sampled is decided once, by the caller, and holds for all attempts: of a task that is not, the worker makes no
 * span. A task that was scheduled without a trace (a recurrence's, or by SQL) has a trace of its own for each attempt.
 * Names and attributes follow OpenTelemetry's conventions for messaging where they have a word for it.
 */

/** Null: nobody has installed one, and then nothing of this costs anything. The default of Effect shows its spans to nobody. */
export const tracerIn = (context: Context.Context<never>): Tracer.Tracer | null => {
  const tracer = Context.get(context, Tracer.Tracer)
  return tracer === Tracer.nativeTracer ? null : tracer
}

/** For what engines and workers ask the store: each statement would be a trace of its own, some of them every second. */
export const untraced: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.provideService(
  References.TracerEnabled,
  false
)

/** What a worker traces attempts with, while its own doings are untraced; null: nothing. */
export const TaskTracer = Context.Reference<Tracer.Tracer | null>("duetime/TaskTracer", { defaultValue: () => null })

export const tracingTasksOnly = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.contextWith((context: Context.Context<never>) =>
    untraced(Effect.provideService(effect, TaskTracer, tracerIn(context)))
  )

/**
 * Schedules in a span of its own, a child of the caller's, and hands on what is to be stored; without a tracer it is only called.
 * What the caller would not export is stored too, so that its attempts are not exported either.
 */
export const scheduling = <A, E, R>(
  kindOfEach: () => ReadonlyArray<string>,
  schedule: (traceparent: string | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.contextWith((context: Context.Context<never>) => {
    if (tracerIn(context) === null || !Context.get(context, References.TracerEnabled)) return schedule(undefined)
    const kinds = kindOfEach()
    const [kind = "nothing", ...others] = new Set(kinds)
    const name = `schedule ${others.length === 0 ? kind : "many kinds"}`
    const attributes = {
      ...messaging("send"),
      "messaging.batch.message_count": kinds.length,
      ...(others.length === 0 ? { "duetime.kind": kind } : {})
    }
    // Without the statements of the store below it: they are one, and longer than all the rest.
    return Effect.useSpan(name, { kind: "producer", attributes }, (span) =>
      untraced(schedule(traceparentOf(span) ?? undefined))
    )
  })

/** The span that a task was scheduled in. */
export const scheduleSpanOf = (traceparent: string): Tracer.ExternalSpan | null => {
  const context = spanContextOf(traceparent)
  return context === null ? null : Tracer.externalSpan(context)
}

export const messaging = (operation: "send" | "process" | "settle") => ({
  "messaging.system": "duetime",
  "messaging.operation.type": operation
})

export const laneAttributes = ({ kind, priority, queue }: Lane) => ({
  "messaging.destination.name": queue,
  "duetime.kind": kind,
  "duetime.queue": queue,
  "duetime.priority": priority
})

export type SpanStart = {
  readonly name: string
  readonly kind: Tracer.SpanKind
  readonly parent: Tracer.AnySpan | null
  /** Nanoseconds since 1970, by this process's clock. */
  readonly startedAtNanos: bigint
  readonly attributes: Readonly<Record<string, unknown>>
}

/** Outside of fibers, where a worker has its attempts. */
export const startSpan = (tracer: Tracer.Tracer, start: SpanStart): Tracer.Span => {
  const span = tracer.span({
    name: start.name,
    parent: Option.fromNullishOr(start.parent),
    annotations: Context.empty(),
    links: [],
    startTime: start.startedAtNanos,
    kind: start.kind,
    root: start.parent === null,
    sampled: start.parent?.sampled ?? true
  })
  for (const [name, value] of Object.entries(start.attributes)) span.attribute(name, value)
  return span
}
