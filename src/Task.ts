import { Effect, Layer, Predicate, Result, Schema, SchemaIssue, type Scope } from "effect"
import type { KindPolicy } from "./core/KindPolicy.ts"
import { toStorableText } from "./core/storable.ts"
import { namesOf } from "./core/unknownName.ts"
import { type DefineOptions, policyOf } from "./DefineOptions.ts"
import { Duetime } from "./Duetime.ts"
import { type EntryReceipt, type PayloadKind, type Receipt, type ScheduleError, type TaskEntry } from "./Scheduling.ts"
import { type HandlerConflict, type KeyConflict, PayloadRejected } from "./DuetimeError.ts"
import { type FollowOptions, FollowUp } from "./FollowUp.ts"
import { rejected, throwUnknownOption } from "./optionValues.ts"
import type { RecurrenceOptions } from "./RecurrenceOptions.ts"
import { type DefineError, Recurrences } from "./Recurrences.ts"
import type { ScheduleOptions } from "./ScheduleOptions.ts"
import {
  type Answer,
  type AsyncAttempt,
  type AsyncInterrupted,
  type Attempt,
  type Codec,
  Handlers,
  makeHandler,
  performAsync,
  type Reconcile,
  reconcileAsync
} from "./worker/Handlers.ts"

export type { Caps, DefineOptions } from "./DefineOptions.ts"
export { discard, done, fatal, notDone, retryAt, retryIn, snooze, unknown } from "./handlerWords.ts"

/**
 * A kind of task: its name, the schema of its payload, its policy. One value serves both sides: services schedule with
 * it, workers handle with it, and the compiler holds the two together. Defining has no effect; the policy reaches the
 * database when a worker serves the kind.
 */
export interface Kind<in out Payload, in out Output = unknown> extends PayloadKind<Payload> {
  readonly kind: string
  /** Stores a task of this kind; see `Duetime.schedule`. */
  readonly schedule: (
    payload: Payload,
    options?: ScheduleOptions
  ) => Effect.Effect<Receipt, ScheduleError | KeyConflict, Duetime>
  /** Stores many; see `Duetime.scheduleMany`. */
  readonly scheduleMany: (
    tasks: ReadonlyArray<TaskEntry<Payload>>
  ) => Effect.Effect<ReadonlyArray<EntryReceipt>, ScheduleError, Duetime>
  /** A task of this kind that is scheduled when another one ends: for the options `onSuccess` and `onDead` of that one. */
  readonly follow: (payload: Payload, options?: FollowOptions) => FollowUp
  /**
   * The layer that declares a recurrence of this kind: made when it is missing, changed when this declaration is new. See
   * `Recurrences.declare`; other ways to make and steer one are in `Recurrences`.
   */
  readonly recur: (name: string, options: RecurrenceOptions<Payload>) => Layer.Layer<never, DefineError, Recurrences>
  /**
   * The layer that handles this kind in a worker. What the handler needs becomes the layer's requirement; each attempt
   * has a scope of its own. Success is recorded with what the handler returns, a failure is retried by the policy;
   * `snooze`, `discard`, `fatal`, `retryIn` and `retryAt` say more.
   *
   * Throws `OptionsRejected`, when the program starts, for a reconciler of a kind that does not park.
   */
  readonly handle: <E, R, ReconcileE = never, ReconcileR = never>(
    handler: (payload: Payload, attempt: Attempt<Output>) => Effect.Effect<Output, E, R>,
    options?: HandleOptions<Reconcile<Payload, Output, ReconcileE, ReconcileR>>
  ) => Layer.Layer<never, HandlerConflict, Handlers | Exclude<R | ReconcileR, Scope.Scope>>
  /** The same for async functions; timeout and drain arrive as an aborted `signal`. */
  readonly handleAsync: (
    handler: (payload: Payload, attempt: AsyncAttempt<Output>) => Promise<Output>,
    options?: HandleOptions<ReconcileAsync<Payload, Output>>
  ) => Layer.Layer<never, HandlerConflict, Handlers>
}

export type HandleOptions<Reconciler> = {
  /**
   * For kinds with `onInterrupted: "park"`: asks the outside what became of an attempt whose worker died or that ran too long,
   * and answers `Task.done(result)`, `Task.notDone` or `Task.unknown`. A failure, and no answer within 10 seconds, count as
   * unknown. It must change nothing: it is asked again while nobody knows, 20 times in two hours; then a person decides.
   */
  readonly reconcile?: Reconciler
}

export type ReconcileAsync<Payload, Output> = (
  payload: Payload,
  interrupted: AsyncInterrupted
) => Promise<Answer<Output>>

/** A schema that needs no services and is not asynchronous. */
export type PlainSchema = Schema.ConstraintCodec<unknown, unknown>
export type PlainFields = { readonly [field: string]: PlainSchema }

/**
 * Defines a kind. `kind` and `queue` are 1 to 100 characters of a-z, 0-9, ".", "_" and "-", a letter first.
 *
 * Throws `OptionsRejected`, when the program starts, for a value that makes no sense.
 */
export function define<const Fields extends PlainFields, Output extends PlainSchema = typeof anyOutput>(
  kind: string,
  options: DefineOptions<Fields, Output>
): Kind<Schema.Struct.Type<Fields>, Output["Type"]>
export function define<Payload extends PlainSchema, Output extends PlainSchema = typeof anyOutput>(
  kind: string,
  options: DefineOptions<Payload, Output>
): Kind<Payload["Type"], Output["Type"]>
export function define(kind: string, options: DefineOptions<PlainSchema | PlainFields, PlainSchema>): unknown {
  const policy = policyOf(kind, options)
  const { payload, result } = options
  checkSchemas(payload, result)
  return isPlainSchema(payload) ? makeKind(policy, payload, result) : makeKind(policy, Schema.Struct(payload), result)
}

/** Kinds without a result schema: what the handler returns is kept if it is JSON. */
const anyOutput = Schema.Unknown

const checkSchemas = (payload: unknown, result: unknown): void => {
  if (!Schema.isSchema(payload)) {
    if (!Predicate.isObject(payload)) {
      throw rejected(
        "payload",
        payload,
        "Give a schema, or its fields, such as { email: Schema.String }, or {} for none"
      )
    }
    for (const [name, field] of Object.entries(payload)) {
      if (!Schema.isSchema(field)) throw rejected(`payload.${name}`, field, "Give a schema, such as Schema.String")
    }
  }
  if (result !== undefined && !Schema.isSchema(result)) {
    throw rejected("result", result, "Give a schema, such as Schema.Struct({ id: Schema.String }), or leave it out")
  }
}

const isPlainSchema = (payload: PlainSchema | PlainFields): payload is PlainSchema => Schema.isSchema(payload)

const makeKind = <Payload extends PlainSchema, Output extends PlainSchema>(
  policy: KindPolicy,
  payloadSchema: Payload,
  resultSchema: Output | undefined
): Kind<Payload["Type"], Output["Type"]> => {
  const payloadCodec = Schema.toCodecJson(payloadSchema)
  const encodePayload = Schema.encodeUnknownResult(payloadCodec)
  const codec: Codec<Payload["Type"], Output["Type"]> = {
    policy,
    decodePayload: Schema.decodeUnknownResult(payloadCodec),
    encodeResult: resultSchema === undefined ? null : Schema.encodeUnknownResult(Schema.toCodecJson(resultSchema))
  }
  const self: PayloadKind<Payload["Type"]> = {
    policy,
    encodePayload: (payload) =>
      Result.mapError(encodePayload(payload), (error) => payloadRejected(policy.kind, error.issue))
  }
  const handle: Kind<Payload["Type"], Output["Type"]>["handle"] = <E, R, ReconcileE = never, ReconcileR = never>(
    handler: (payload: Payload["Type"], attempt: Attempt<Output["Type"]>) => Effect.Effect<Output["Type"], E, R>,
    options: HandleOptions<Reconcile<Payload["Type"], Output["Type"], ReconcileE, ReconcileR>> = {}
  ) => {
    checkHandler(handler)
    const { reconcile } = checkedOptions(policy, options)
    return Layer.effectDiscard(
      Effect.gen(function* () {
        const context = yield* Effect.context<Exclude<R | ReconcileR, Scope.Scope>>()
        const handlers = yield* Handlers
        yield* handlers.register(
          makeHandler<Payload["Type"], Output["Type"], E, R | ReconcileR>(codec, handler, reconcile ?? null, context)
        )
      })
    )
  }
  return {
    ...self,
    kind: policy.kind,
    schedule: (payload, options) => Duetime.use((duetime) => duetime.schedule(self, payload, options)),
    scheduleMany: (tasks) => Duetime.use((duetime) => duetime.scheduleMany(self, tasks)),
    follow: (payload, options) => new FollowUp(policy, () => self.encodePayload(payload), options),
    recur: (name, options) =>
      Layer.effectDiscard(Recurrences.use((recurrences) => recurrences.declare(self, name, options))),
    handle,
    handleAsync: (handler, options = {}) => {
      checkHandler(handler)
      const { reconcile } = checkedOptions(policy, options)
      return handle(
        (payload, attempt) => performAsync(attempt, (asyncAttempt) => handler(payload, asyncAttempt)),
        reconcile === undefined
          ? {}
          : { reconcile: (payload, interrupted) => reconcileAsync(interrupted, (facts) => reconcile(payload, facts)) }
      )
    }
  }
}

const checkHandler = (handler: unknown): void => {
  if (!Predicate.isFunction(handler)) {
    throw rejected("handler", handler, "Give a function of the payload and the attempt")
  }
}

const handleNames = namesOf<HandleOptions<unknown>>({ reconcile: true })

const checkedOptions = <Reconciler>(
  { kind, onInterrupted }: KindPolicy,
  options: HandleOptions<Reconciler>
): HandleOptions<Reconciler> => {
  throwUnknownOption(options, handleNames)
  const { reconcile } = options
  if (reconcile === undefined) return options
  if (typeof reconcile !== "function") throw rejected("reconcile", reconcile, "Give a function, or leave it out")
  if (onInterrupted === "park") return options
  const wayOut = `A reconciler is asked about parked tasks: define "${kind}" with onInterrupted: "park", or leave reconcile out`
  throw rejected("onInterrupted", onInterrupted, wayOut)
}

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()
/** Characters of a schema's complaint that an error repeats; it quotes the value. */
const complaintLengthMax = 160

const payloadRejected = (kind: string, issue: SchemaIssue.Issue): PayloadRejected => {
  const [first] = issuesOf(issue).issues
  const path = (first?.path ?? []).map((step) => `.${String(typeof step === "object" ? step.key : step)}`)
  const problem = (first?.message ?? "it does not fit the schema").replaceAll(/\s+/g, " ")
  return new PayloadRejected({
    kind,
    path: toStorableText(`$${path.join("")}`, complaintLengthMax),
    problem: toStorableText(problem, complaintLengthMax),
    wayOut: "Give what the payload schema of the kind asks for"
  })
}
