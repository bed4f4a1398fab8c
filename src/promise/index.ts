import { Cause, Effect, Exit, Fiber, Layer, ManagedRuntime } from "effect"
import type { Priority } from "../core/Priority.ts"
import type { TaskEvent } from "../core/TaskEvent.ts"
import { namesOf } from "../core/unknownName.ts"
import {
  Duetime,
  Engine,
  type Ground,
  type Handlers,
  layerFromEnv,
  Recurrences,
  type RecurrenceOptions,
  type RecurrenceView,
  Worker,
  type WorkerOptions
} from "../index.ts"
import type { AwaitEndOptions, Pausable } from "../Duetime.ts"
import type { EntryReceipt, PayloadKind, Receipt, TaskEntry, UntypedTask } from "../Scheduling.ts"
import { notDefined } from "../clientInput.ts"
import { HandlerConflict, OptionsRejected } from "../DuetimeError.ts"
import { rejected, throwUnknownOption } from "../optionValues.ts"
import type { Find, Found } from "../FindOptions.ts"
import type { ScheduleOptions, When } from "../ScheduleOptions.ts"
import type { HandleOptions, Kind, ReconcileAsync } from "../Task.ts"
import type { TaskEnd } from "../TaskEnd.ts"
import type { TaskSummary, TaskView } from "../TaskView.ts"
import type { AsyncAttempt } from "../worker/Handlers.ts"

export { Schema } from "effect"
export { layerDev, layerFromEnv, layerKafka, layerMemory, layerPostgres, RetryPolicy, Task } from "../index.ts"
export * from "../DuetimeError.ts"
export type { AwaitEndOptions, Pausable } from "../Duetime.ts"
export type { EntryReceipt, Receipt, TaskEntry, UntypedTask } from "../Scheduling.ts"
export type { Find, Found } from "../FindOptions.ts"
export type { Following, FollowOptions, FollowUp } from "../FollowUp.ts"
export type { Expiry, ExpiringKey, ScheduleOptions, When } from "../ScheduleOptions.ts"
export type { TaskEnd } from "../TaskEnd.ts"
export type { BusinessDays, Calendar, Hours } from "../index.ts"
export type {
  FateView,
  LineView,
  Misfire,
  Openings,
  RecurrenceOptions,
  RecurrenceView,
  Recurs,
  RulePreview
} from "../index.ts"
export type { TaskSummary, TaskView } from "../TaskView.ts"
export type { Answer, AsyncAttempt, AsyncInterrupted, AsyncSql } from "../worker/Handlers.ts"

/**
 * The whole product for async and await: the same kinds, the same tables. Every method rejects with the tagged errors
 * that the Effect form fails with (docs/reference/errors.md).
 *
 * ```ts
 * const duetime = await connect()
 * await duetime.schedule(SendReminder, { email, text }, { in: "3 hours" })
 * await duetime.handle(SendReminder, async ({ email }, { signal }) => { ... }).work()
 * await duetime.close()
 * ```
 */
export interface Connection extends AsyncDisposable {
  readonly schedule: <Payload>(
    kind: PayloadKind<Payload>,
    payload: Payload,
    options?: ScheduleOptions
  ) => Promise<Receipt>
  readonly scheduleMany: <Payload>(
    kind: PayloadKind<Payload>,
    tasks: ReadonlyArray<TaskEntry<Payload>>
  ) => Promise<ReadonlyArray<EntryReceipt>>
  readonly scheduleUntyped: (tasks: ReadonlyArray<UntypedTask>) => Promise<ReadonlyArray<EntryReceipt>>
  readonly get: (id: string) => Promise<TaskView>
  readonly history: (id: string) => Promise<ReadonlyArray<TaskEvent>>
  /** Answers how the task has ended, or `Waiting` after the timeout: default 30 seconds, at most a day. */
  readonly awaitEnd: (id: string, options?: AwaitEndOptions) => Promise<TaskEnd>
  readonly find: (filter: Find) => Promise<Found>
  readonly cancel: (id: string, reason?: string) => Promise<TaskSummary>
  readonly reschedule: (id: string, when: When) => Promise<TaskSummary>
  readonly reprioritise: (id: string, priority: Priority) => Promise<TaskSummary>
  readonly runNow: (id: string) => Promise<TaskSummary>
  readonly redrive: (id: string) => Promise<TaskSummary>
  readonly redriveWith: (id: string, payload: unknown) => Promise<TaskSummary>
  readonly discard: (id: string, reason: string) => Promise<TaskSummary>
  readonly pause: (target: Pausable) => Promise<void>
  readonly resume: (target: Pausable) => Promise<void>

  /** Rules that schedule again and again; `declare` is what `kind.recur` does. */
  readonly recurrences: RecurrencesAsync

  /**
   * Adds a handler for `work`. Throws `HandlerConflict` for a kind that has one already, and `OptionsRejected` for a reconciler of a
   * kind that does not park.
   */
  readonly handle: <Payload, Output>(
    kind: Kind<Payload, Output>,
    handler: (payload: Payload, attempt: AsyncAttempt<Output>) => Promise<Output>,
    options?: HandleOptions<ReconcileAsync<Payload, Output>>
  ) => Connection
  /**
   * Runs engine and worker with the handlers added so far. Resolves when it has stopped, every attempt ended or given
   * back: after `signal` is aborted, the connection is closed, or, unless `onSignals` is false, SIGTERM or SIGINT came.
   */
  readonly work: (options?: WorkOptions) => Promise<void>
  /** Stops working, and closes what was opened. Also done by `await using`, which needs Node 24. */
  readonly close: () => Promise<void>
}

type Promised<F> = F extends (...args: infer Args) => Effect.Effect<infer A, unknown>
  ? (...args: Args) => Promise<A>
  : never
type Defining = <Payload>(
  kind: PayloadKind<Payload>,
  name: string,
  options: RecurrenceOptions<Payload>
) => Promise<RecurrenceView>
export type RecurrencesAsync = {
  readonly [Method in keyof Recurrences["Service"]]: Method extends "create" | "declare" | "edit"
    ? Defining
    : Promised<Recurrences["Service"][Method]>
}

export type WorkOptions = WorkerOptions & {
  readonly signal?: AbortSignal
  readonly onSignals?: boolean
}

export type ConnectOptions<E = never> = {
  /** Store and broker; default those the DUETIME_ variables name. */
  readonly layer?: Layer.Layer<Ground, E>
}

const workNames = namesOf<WorkOptions>({
  concurrency: true,
  criticalSlots: true,
  drainGrace: true,
  signal: true,
  onSignals: true
})
const connectNames = namesOf<ConnectOptions>({ layer: true })

/** Opens the store and the broker; by default those the DUETIME_ variables name. */
export const connect = async <E = never>(options: ConnectOptions<E> = {}): Promise<Connection> => {
  if (Layer.isLayer(options)) throw rejected("options", options, "Give the layer as connect({ layer: ... })")
  throwUnknownOption(options, connectNames)
  if (options.layer !== undefined && !Layer.isLayer(options.layer)) {
    throw rejected("layer", options.layer, "Give a layer, such as layerDev(), or leave it out")
  }
  const runtime = ManagedRuntime.make<Ground, unknown>(options.layer ?? layerFromEnv)
  const handlers = new Map<string, Layer.Layer<never, HandlerConflict, Handlers>>()
  const working = new Set<Fiber.Fiber<unknown, unknown>>()

  const run = async <A>(effect: Effect.Effect<A, unknown, Ground>): Promise<A> =>
    valueOf(await runtime.runPromiseExit(effect))
  const ask = <A>(question: (duetime: Duetime["Service"]) => Effect.Effect<A, unknown>): Promise<A> =>
    run(Duetime.use(question))
  const recur = <A>(question: (recurrences: Recurrences["Service"]) => Effect.Effect<A, unknown>): Promise<A> =>
    run(Recurrences.use(question))

  const close = async () => {
    await Effect.runPromise(Fiber.interruptAll(working))
    await runtime.dispose()
  }

  const work = async (workOptions: WorkOptions = {}) => {
    throwUnknownOption(workOptions, workNames)
    const { onSignals = true, signal, ...workerOptions } = workOptions
    if (signal !== undefined && !(signal instanceof AbortSignal)) {
      throw rejected("signal", signal, "Give the signal of an AbortController, or leave it out")
    }
    const [first, ...others] = handlers.values()
    if (first === undefined) {
      throw new OptionsRejected({
        field: "handlers",
        value: "empty",
        wayOut: "Add at least one with `handle(kind, handler)` before `work()`"
      })
    }
    const worker = Layer.mergeAll(first, ...others, Engine.layer).pipe(Layer.provide(Worker.layer(workerOptions)))
    const fiber = runtime.runFork(Layer.launch(worker))
    const stop = () => fiber.interruptUnsafe()
    working.add(fiber)
    if (onSignals) for (const name of stopSignals) process.once(name, stop)
    signal?.addEventListener("abort", stop, { once: true })
    if (signal?.aborted === true) stop()
    const exit = await Effect.runPromise(Fiber.await(fiber))
    working.delete(fiber)
    for (const name of stopSignals) process.removeListener(name, stop)
    signal?.removeEventListener("abort", stop)
    if (Exit.isFailure(exit) && !Cause.hasInterruptsOnly(exit.cause)) throw Cause.squash(exit.cause)
  }

  const connection: Connection = {
    schedule: (kind, payload, scheduleOptions) => ask((duetime) => duetime.schedule(kind, payload, scheduleOptions)),
    scheduleMany: (kind, tasks) => ask((duetime) => duetime.scheduleMany(kind, tasks)),
    scheduleUntyped: (tasks) => ask((duetime) => duetime.scheduleUntyped(tasks)),
    get: (id) => ask((duetime) => duetime.get(id)),
    history: (id) => ask((duetime) => duetime.history(id)),
    awaitEnd: (id, waitOptions) => ask((duetime) => duetime.awaitEnd(id, waitOptions)),
    find: (filter) => ask((duetime) => duetime.find(filter)),
    cancel: (id, reason) => ask((duetime) => duetime.cancel(id, reason)),
    reschedule: (id, when) => ask((duetime) => duetime.reschedule(id, when)),
    reprioritise: (id, priority) => ask((duetime) => duetime.reprioritise(id, priority)),
    runNow: (id) => ask((duetime) => duetime.runNow(id)),
    redrive: (id) => ask((duetime) => duetime.redrive(id)),
    redriveWith: (id, payload) => ask((duetime) => duetime.redriveWith(id, payload)),
    discard: (id, reason) => ask((duetime) => duetime.discard(id, reason)),
    pause: (target) => ask((duetime) => duetime.pause(target)),
    resume: (target) => ask((duetime) => duetime.resume(target)),
    recurrences: {
      create: (kind, name, given) => recur((recurrences) => recurrences.create(kind, name, given)),
      declare: (kind, name, given) => recur((recurrences) => recurrences.declare(kind, name, given)),
      edit: (kind, name, given) => recur((recurrences) => recurrences.edit(kind, name, given)),
      pause: (name) => recur((recurrences) => recurrences.pause(name)),
      resume: (name) => recur((recurrences) => recurrences.resume(name)),
      delete: (name) => recur((recurrences) => recurrences.delete(name)),
      runNow: (name) => recur((recurrences) => recurrences.runNow(name)),
      get: (name) => recur((recurrences) => recurrences.get(name)),
      list: (page) => recur((recurrences) => recurrences.list(page)),
      preview: (name, count) => recur((recurrences) => recurrences.preview(name, count)),
      previewOf: (rule, count) => recur((recurrences) => recurrences.previewOf(rule, count)),
      previewOutage: (name, outage) => recur((recurrences) => recurrences.previewOutage(name, outage)),
      ledger: (name, limit) => recur((recurrences) => recurrences.ledger(name, limit))
    },
    handle: (kind, handler, handleOptions) => {
      const fault = notDefined(kind)
      if (fault !== null) throw fault
      if (handlers.has(kind.kind)) throw new HandlerConflict({ kind: kind.kind })
      handlers.set(kind.kind, kind.handleAsync(handler, handleOptions))
      return connection
    },
    work,
    close,
    [Symbol.asyncDispose]: close
  }

  const opened = await runtime.runPromiseExit(Effect.void)
  if (Exit.isFailure(opened)) {
    await runtime.dispose()
    throw Cause.squash(opened.cause)
  }
  return connection
}

const stopSignals = ["SIGTERM", "SIGINT"] as const

const valueOf = <A>(exit: Exit.Exit<A, unknown>): A => {
  if (Exit.isSuccess(exit)) return exit.value
  throw Cause.squash(exit.cause)
}
