import { Clock, Context, type Duration, Effect, Layer, Predicate, Result } from "effect"
import { fold } from "./core/evolve.ts"
import { machine } from "./core/machine.ts"
import { isPriority, priorities, type Priority } from "./core/Priority.ts"
import type { TaskEvent } from "./core/TaskEvent.ts"
import { namesOf } from "./core/unknownName.ts"
import { InvalidTransition, type OptionsRejected, type PayloadRejected } from "./DuetimeError.ts"
import { checkedId, checkedReason, storablePayload } from "./clientInput.ts"
import { type Find, findFilterOf, type Found } from "./FindOptions.ts"
import { durationMsOf, isoOf, nameOf, rejected, unknownOption } from "./optionValues.ts"
import { secondsFaultOf, type When, whenOf } from "./ScheduleOptions.ts"
import { make as makeScheduling, PayloadBytesMax, type Scheduling } from "./Scheduling.ts"
import { Ids } from "./store/Ids.ts"
import { type StoreUnavailable, TaskNotFound } from "./store/StoreError.ts"
import { type PauseTarget, TaskStore, type Wish } from "./store/TaskStore.ts"
import { endTimeoutMsDefault, endTimeoutMsMax, make as makeAwaitEnd, type TaskEnd } from "./TaskEnd.ts"
import { summaryOf, type TaskSummary, type TaskView, viewOf } from "./TaskView.ts"
import { untilAnswered } from "./untilAnswered.ts"

/**
 * What an application asks of duetime. Everything is checked here, before the store sees it, because a value that
 * cannot be stored would fail the whole batch it is written with. The database decides about time; the clock of this
 * process, corrected by the store's estimate, only turns "in 3 hours" into an instant.
 *
 * Scheduling joins the transaction of the caller, if there is one, and is never repeated with new ids: when the answer
 * of the store was lost, the same request is sent again and answers as it did the first time.
 */
export class Duetime extends Context.Service<
  Duetime,
  Scheduling & {
    readonly get: (id: string) => Effect.Effect<TaskView, LookUpError>
    /** All events of a task, oldest first. */
    readonly history: (id: string) => Effect.Effect<ReadonlyArray<TaskEvent>, LookUpError>
    /**
     * Waits until the task has ended, wherever that happens, and answers how; `Waiting` if it has not within the timeout (default
     * 30 seconds, 0 only looks, at most a day). One that has just ended is told within a tenth of the time it was awaited, 50 ms to 2 s.
     */
    readonly awaitEnd: (id: string, options?: AwaitEndOptions) => Effect.Effect<TaskEnd, LookUpError>
    readonly find: (filter: Find) => Effect.Effect<Found, StoreUnavailable | OptionsRejected>

    /** Ends a waiting task. A running one is only asked: it is cancelled if its attempt does not succeed. */
    readonly cancel: (id: string, reason?: string) => Effect.Effect<TaskSummary, ActError>
    readonly reschedule: (id: string, when: When) => Effect.Effect<TaskSummary, ActError>
    readonly reprioritise: (id: string, priority: Priority) => Effect.Effect<TaskSummary, ActError>
    /** Makes a waiting task due now; lets a parked one go on. */
    readonly runNow: (id: string) => Effect.Effect<TaskSummary, ActError>
    /** Gives a dead letter all its attempts again. */
    readonly redrive: (id: string) => Effect.Effect<TaskSummary, ActError>
    /**
     * The same, and they and all later ones are given this payload: any JSON. Whether the kind can read it, only a program with its
     * schema knows (`duetime dead redrive --tasks`).
     */
    readonly redriveWith: (id: string, payload: unknown) => Effect.Effect<TaskSummary, ActError | PayloadRejected>
    /** Ends a dead letter for good: it is cancelled with the reason, and its history stays as long as any. */
    readonly discard: (id: string, reason: string) => Effect.Effect<TaskSummary, ActError>

    /**
     * From the answer on, nothing of the kind or of the queue's kinds starts; what has started goes on. Its tasks can be
     * scheduled, cancelled and moved as ever, and wait. A kind in a paused queue is paused whatever is said of the kind.
     */
    readonly pause: (target: Pausable) => Effect.Effect<void, PauseError>
    /** Lets it go on, the most urgent and oldest first. */
    readonly resume: (target: Pausable) => Effect.Effect<void, PauseError>
  }
>()("duetime/Duetime") {
  static readonly layer: Layer.Layer<Duetime, never, TaskStore> = Layer.effect(
    Duetime,
    Effect.suspend(() => make)
  )
}

export type AwaitEndOptions = { readonly timeout?: Duration.Input | undefined }

export type LookUpError = StoreUnavailable | TaskNotFound | OptionsRejected
export type ActError = LookUpError | InvalidTransition

/** By name: a kind or a queue, whether or not anybody serves it yet. */
export type Pausable =
  | { readonly kind: string; readonly queue?: undefined }
  | { readonly queue: string; readonly kind?: undefined }
export type PauseError = StoreUnavailable | OptionsRejected

const ofAwaitEnd = namesOf<AwaitEndOptions>({ timeout: true })
const ofPausable = namesOf<Pausable>({ kind: true, queue: true })

const make = Effect.gen(function* () {
  const store = yield* TaskStore
  const clock = yield* Clock.Clock
  const ids = yield* Ids
  const payloadBytesMax = yield* PayloadBytesMax
  const scheduling = yield* makeScheduling
  const awaitEnd = yield* makeAwaitEnd(store.ends)
  const nowMs = () => Number(clock.currentTimeNanosUnsafe()) / 1e6 + store.clockOffsetMs()

  const act = Effect.fnUntraced(function* (id: string, wish: Wish) {
    const taskId = yield* checkedId(id)
    const eventId = ids.eventId()
    const acted = yield* untilAnswered(store.act(taskId, eventId, wish))
    if (acted._tag === "Done") return summaryOf(acted.state)
    if (acted.rejection._tag === "TooLate") {
      const wayOut = "It is never started from then on; schedule a new task instead"
      return yield* rejected("expiresAt", isoOf(acted.rejection.expiresAtMs), wayOut)
    }
    const { stage } = acted.state
    const possible = verbs.filter(([tag]) => machine.some(([from, command]) => from === stage && command === tag))
    return yield* new InvalidTransition({
      taskId,
      wish: verbOf(wish),
      stage,
      possible: possible.map(([, verb]) => verb)
    })
  })

  const setPaused = Effect.fnUntraced(function* (target: Pausable, isPaused: boolean) {
    const checked = yield* Effect.fromResult(pauseTargetOf(target))
    yield* untilAnswered(store.pause(checked, isPaused))
  })

  return Duetime.of({
    ...scheduling,

    get: Effect.fnUntraced(function* (id) {
      const taskId = yield* checkedId(id)
      const view = viewOf(yield* store.history(taskId))
      return view ?? (yield* new TaskNotFound({ taskId }))
    }),
    history: (id) => Effect.flatMap(checkedId(id), store.history),
    awaitEnd: Effect.fnUntraced(function* (id, options = {}) {
      const taskId = yield* checkedId(id)
      const unknown = unknownOption(options, ofAwaitEnd)
      if (unknown !== null) return yield* unknown
      const { timeout = endTimeoutMsDefault } = options
      const limits = { minMs: 0, maxMs: endTimeoutMsMax }
      return yield* awaitEnd(taskId, yield* Effect.fromResult(durationMsOf("timeout", timeout, limits)))
    }),
    find: Effect.fnUntraced(function* (options) {
      const page = yield* store.find(yield* Effect.fromResult(findFilterOf(options)))
      return { tasks: page.tasks.map(summaryOf), next: page.next }
    }),

    cancel: Effect.fnUntraced(function* (id, reason) {
      if (reason !== undefined) yield* checkedReason(reason, 0)
      return yield* act(id, { _tag: "Cancel", reason: reason ?? null })
    }),
    reschedule: Effect.fnUntraced(function* (id, when) {
      if (!Predicate.isObject(when)) return yield* rejected("when", when, "Give an object with `in` or `at`")
      if (when.in === undefined && when.at === undefined) {
        return yield* rejected("when", when, "Give `in` or `at`, or use runNow")
      }
      const dueAtMs = yield* Effect.fromResult(whenOf(when))
      const fault = secondsFaultOf(when, nowMs())
      if (fault !== null) return yield* fault
      return yield* act(id, { _tag: "Reschedule", dueAtMs: dueAtMs(nowMs()) })
    }),
    reprioritise: Effect.fnUntraced(function* (id, priority) {
      if (!isPriority(priority)) {
        return yield* rejected("priority", priority, `Give one of ${priorities.join(", ")}`)
      }
      return yield* act(id, { _tag: "Reprioritise", priority })
    }),
    runNow: (id) => act(id, { _tag: "RunNow" }),
    redrive: (id) => act(id, { _tag: "Redrive" }),
    redriveWith: Effect.fnUntraced(function* (id, payload) {
      const kind = fold(yield* store.history(yield* checkedId(id)))?.kind ?? ""
      const stored = yield* Effect.fromResult(storablePayload(kind, payload, payloadBytesMax))
      return yield* act(id, { _tag: "Redrive", payload: stored })
    }),
    discard: Effect.fnUntraced(function* (id, reason) {
      return yield* act(id, { _tag: "DiscardDead", reason: yield* checkedReason(reason, 1) })
    }),

    pause: (target) => setPaused(target, true),
    resume: (target) => setPaused(target, false)
  })
})

const pauseTargetOf = (target: Pausable): Result.Result<PauseTarget, OptionsRejected> => {
  const unknown = unknownOption(target, ofPausable, "target")
  if (unknown !== null) return Result.fail(unknown)
  const { kind, queue } = target
  if (kind !== undefined && queue === undefined) {
    return Result.map(nameOf("kind", kind), (name) => ({ _tag: "Kind", kind: name }))
  }
  if (queue !== undefined && kind === undefined) {
    return Result.map(nameOf("queue", queue), (name) => ({ _tag: "Queue", queue: name }))
  }
  return Result.fail(rejected("target", target, "Give a kind or a queue"))
}

/** The wishes in the words of the client. */
const verbs = [
  ["Cancel", "cancel"],
  ["Reschedule", "reschedule"],
  ["Reprioritise", "reprioritise"],
  ["RunNow", "runNow"],
  ["Redrive", "redrive"],
  ["DiscardDead", "discard"]
] as const satisfies ReadonlyArray<readonly [Wish["_tag"], string]>

const verbOf = (wish: Wish): string => verbs.find(([tag]) => tag === wish._tag)?.[1] ?? wish._tag
