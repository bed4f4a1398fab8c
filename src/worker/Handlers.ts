import { Context, Effect, type Fiber, References, Result, type Schema, type Scope, Tracer } from "effect"
import type { KindPolicy } from "../core/KindPolicy.ts"
import type { Json } from "../core/TaskEvent.ts"
import { toStorable } from "../core/storable.ts"
import type { Reconciliation } from "../core/TaskCommand.ts"
import type { TaskId } from "../core/TaskId.ts"
import type { Parked } from "../store/TaskStore.ts"
import { type Answer, reconciliationOf } from "./Answer.ts"
import { type Attempt, type AttemptGrant, makeAttempt } from "./Attempt.ts"
import { type Interrupted, interruptedOf } from "./Interrupted.ts"
import type { HandlerConflict } from "../DuetimeError.ts"
import { PayloadUnfit } from "./AttemptFailure.ts"
import { effectOf } from "./Returned.ts"

export type { Answer } from "./Answer.ts"
export { type AsyncAttempt, type AsyncSql, type Attempt, type CommitFailure, performAsync } from "./Attempt.ts"
export { type AsyncInterrupted, type Interrupted, reconcileAsync } from "./Interrupted.ts"
export { Discard, Fatal, RetryIn, Snooze } from "./Outcome.ts"

/**
 * Where the layers made by `kind.handle` meet the worker. Each registers itself while its scope is open, so a
 * process serves exactly the kinds whose layers it builds; when such a layer closes, the worker stops taking the
 * kind and lets its attempts end before the services they use are closed.
 */
export class Handlers extends Context.Service<
  Handlers,
  { readonly register: (handler: Handler) => Effect.Effect<void, HandlerConflict, Scope.Scope> }
>()("duetime/worker/Handlers") {}

/** A handler with its types sealed in. */
export type Handler = {
  readonly policy: KindPolicy
  /** Why the kind's schema cannot read a payload; null: it can. */
  readonly unfitness: (payload: Json) => string | null
  /** Calls user code, in a fiber of its own; never throws. The exit is the encoded result. */
  readonly begin: (grant: AttemptGrant) => Fiber.Fiber<Json, unknown>
  /** Asks user code what became of an interrupted attempt; the answer is null if it does not know. Null: nobody can be asked. */
  readonly reconcile: ((parked: Parked) => Effect.Effect<Reconciliation | null, unknown>) | null
}

/** Asks the outside what became of an interrupted attempt; must change nothing there, since it may be asked again. */
export type Reconcile<Payload, Output, E, R> = (
  payload: Payload,
  interrupted: Interrupted
) => Effect.Effect<Answer<Output>, E, R>

/** Bytes of a result's JSON text. A result is for looking at, not for moving data. */
export const resultBytesMax = 64 * 1024

/** How a kind's values become JSON and come back. */
export type Codec<Payload, Output> = {
  readonly policy: KindPolicy
  readonly decodePayload: (payload: Json) => Result.Result<Payload, Schema.SchemaError>
  /** Null: the kind has no result schema, and whatever JSON the handler returns is kept. */
  readonly encodeResult: ((result: Output) => Result.Result<unknown, Schema.SchemaError>) | null
}

/** Seals a handler with the services it needs. Every attempt has a scope of its own. */
export const makeHandler = <Payload, Output, E, R>(
  codec: Codec<Payload, Output>,
  perform: (payload: Payload, attempt: Attempt<Output>) => Effect.Effect<Output, E, R>,
  reconcile: Reconcile<Payload, Output, unknown, R> | null,
  context: Context.Context<Exclude<R, Scope.Scope>>
): Handler => {
  const fork = Effect.runForkWith(context)
  const { kind } = codec.policy
  let isResultWarned = false

  const resultOf = (value: Output): Json => {
    const encoded = encodeResult(codec, value)
    if (Result.isSuccess(encoded)) return encoded.success
    // The attempt succeeded and its effects are made: a retry would repeat them for the sake of a return value.
    if (!isResultWarned) {
      isResultWarned = true
      fork(Effect.logWarning(`results of kind "${kind}" are recorded as null: ${encoded.failure}`))
    }
    return null
  }

  /** Calls user code with the decoded payload, in a scope of its own. */
  const call = <A, E>(
    task: { readonly taskId: TaskId; readonly attempt: number; readonly payload: Json },
    parentSpan: Tracer.AnySpan | null,
    body: (payload: Payload) => Effect.Effect<A, E, R>
  ) =>
    Effect.scoped(
      Effect.suspend((): Effect.Effect<A, E | PayloadUnfit, R> => {
        const payload = codec.decodePayload(task.payload)
        return Result.isFailure(payload)
          ? Effect.fail(new PayloadUnfit({ kind, problem: payload.failure.message }))
          : body(payload.success)
      })
    ).pipe(inSpan(parentSpan), Effect.annotateLogs(annotationsOf(task, parentSpan)))

  const annotationsOf = (
    { attempt, taskId }: { readonly taskId: TaskId; readonly attempt: number },
    parentSpan: Tracer.AnySpan | null
  ) => (parentSpan === null ? { taskId, kind, attempt } : { taskId, kind, attempt, traceId: parentSpan.traceId })

  return {
    policy: codec.policy,
    unfitness: (payload) => {
      const decoded = codec.decodePayload(payload)
      return Result.isFailure(decoded) ? decoded.failure.message : null
    },
    begin: (grant) =>
      fork(
        call(grant.started, grant.parentSpan, (payload) =>
          Effect.map(effectOf(kind, perform(payload, makeAttempt(grant, resultOf))), resultOf)
        )
      ),
    reconcile:
      reconcile === null
        ? null
        : (parked) =>
            call(parked, null, (payload) => reconcile(payload, interruptedOf(parked))).pipe(
              Effect.flatMap((answer) =>
                Effect.try({ try: () => reconciliationOf(answer, resultOf), catch: (e) => e })
              ),
              Effect.provideContext(context),
              // The worker that asks is untraced; the user's code is not, unless he says so.
              Effect.provideService(References.TracerEnabled, Context.get(context, References.TracerEnabled))
            )
  }
}

const inSpan =
  (parentSpan: Tracer.AnySpan | null) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    parentSpan === null ? effect : Effect.provideService(effect, Tracer.ParentSpan, parentSpan)

const encodeResult = <Payload, Output>(codec: Codec<Payload, Output>, value: Output): Result.Result<Json, string> => {
  if (value === undefined && codec.encodeResult === null) return Result.succeed(null)
  const encoded = codec.encodeResult === null ? Result.succeed(value) : codec.encodeResult(value)
  // Without the schema's own words: they quote the value, and values do not belong into logs.
  if (Result.isFailure(encoded)) return Result.fail("they do not fit the kind's result schema")
  const stored = toStorable(encoded.success)
  if (Result.isFailure(stored)) {
    return Result.fail(
      `${stored.failure.path} is ${stored.failure.reason}. Return JSON, nothing, or give the kind a result schema`
    )
  }
  const bytes = typeof stored.success === "object" || typeof stored.success === "string" ? bytesOf(stored.success) : 0
  return bytes > resultBytesMax
    ? Result.fail(
        `a result of ${bytes} bytes is over the limit of ${resultBytesMax}. Store it elsewhere and return where it is`
      )
    : Result.succeed(stored.success)
}

const bytesOf = (value: Json): number => Buffer.byteLength(JSON.stringify(value))
