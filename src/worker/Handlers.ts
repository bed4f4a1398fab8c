import { Context, Effect, type Fiber, Result, type Schema, type Scope } from "effect"
import type { KindPolicy } from "../core/KindPolicy.ts"
import type { Json } from "../core/TaskEvent.ts"
import { toStorable } from "../core/storable.ts"
import { type Attempt, type AttemptGrant, makeAttempt } from "./Attempt.ts"
import type { HandlerConflict } from "../DuetimeError.ts"
import { PayloadUnfit } from "./AttemptFailure.ts"

export { type AsyncAttempt, type AsyncSql, type Attempt, type CommitFailure, performAsync } from "./Attempt.ts"
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
  /** Calls user code, in a fiber of its own; never throws. The exit is the encoded result. */
  readonly begin: (grant: AttemptGrant) => Fiber.Fiber<Json, unknown>
}

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

  return {
    policy: codec.policy,
    begin: (grant) =>
      fork(
        Effect.scoped(
          Effect.suspend((): Effect.Effect<Json, E | PayloadUnfit, R> => {
            const payload = codec.decodePayload(grant.started.payload)
            return Result.isFailure(payload)
              ? Effect.fail(new PayloadUnfit({ kind, problem: payload.failure.message }))
              : Effect.map(perform(payload.success, makeAttempt(grant, resultOf)), resultOf)
          })
        ).pipe(Effect.annotateLogs({ taskId: grant.started.taskId, kind, attempt: grant.started.attempt }))
      )
  }
}

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
