import { Clock, Context, Effect, Layer, Result, Schedule } from "effect"
import { defaultKindPolicy, jitteredDueAtMs, type KindPolicy } from "./core/KindPolicy.ts"
import { machine } from "./core/machine.ts"
import { isPriority, priorities, type Priority } from "./core/Priority.ts"
import { toStorable } from "./core/storable.ts"
import type { Json, TaskEvent } from "./core/TaskEvent.ts"
import * as TaskId from "./core/TaskId.ts"
import { InvalidTransition, KeyConflict, type OptionsRejected, PayloadRejected } from "./DuetimeError.ts"
import { nameOf, rejected } from "./optionValues.ts"
import { dueOf, type Plan, planOf, type ScheduleOptions, type When } from "./ScheduleOptions.ts"
import { Ids } from "./store/Ids.ts"
import { type DueBeyondHorizon, type StoreUnavailable, TaskNotFound } from "./store/StoreError.ts"
import {
  batchSizeMax,
  type FindFilter,
  type NewTask,
  type PauseTarget,
  payloadBytesMaxDefault,
  type Scheduled,
  TaskStore,
  type Wish
} from "./store/TaskStore.ts"
import { summaryOf, type TaskSummary, type TaskView, viewOf } from "./TaskView.ts"

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
  {
    /** Stores one task; when it returns (or the caller's transaction commits) the task is safe. */
    readonly schedule: <Payload>(
      kind: PayloadKind<Payload>,
      payload: Payload,
      options?: ScheduleOptions
    ) => Effect.Effect<Receipt, ScheduleError | KeyConflict>
    /**
     * Stores many in batches of 1,000, receipts in order. All are checked before the first is stored. Outside a
     * transaction a failure may leave earlier batches stored: give keys, and repeating is safe.
     */
    readonly scheduleMany: <Payload>(
      kind: PayloadKind<Payload>,
      tasks: ReadonlyArray<TaskEntry<Payload>>
    ) => Effect.Effect<ReadonlyArray<EntryReceipt>, ScheduleError>
    /** As `scheduleMany` for tasks whose kinds are not defined in this program: task files, terminals, other services. */
    readonly scheduleUntyped: (
      tasks: ReadonlyArray<UntypedTask>
    ) => Effect.Effect<ReadonlyArray<EntryReceipt>, ScheduleError>

    readonly get: (id: string) => Effect.Effect<TaskView, LookUpError>
    /** All events of a task, oldest first. */
    readonly history: (id: string) => Effect.Effect<ReadonlyArray<TaskEvent>, LookUpError>
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

/** Bytes of a payload's JSON text. */
export const PayloadBytesMax = Context.Reference<number>("duetime/PayloadBytesMax", {
  defaultValue: () => payloadBytesMaxDefault
})

/** What scheduling needs to know of a kind; `Task.define` makes one. */
export type PayloadKind<in Payload> = {
  readonly policy: KindPolicy
  readonly encodePayload: (payload: Payload) => Result.Result<unknown, PayloadRejected>
}

export type TaskEntry<Payload> = ScheduleOptions & { readonly payload: Payload }
export type UntypedTask = ScheduleOptions & { readonly kind: string; readonly payload: unknown }

export type Receipt = {
  readonly id: TaskId.TaskId
  /** False: the key had been used with the same payload, and this is that task. */
  readonly created: boolean
}

export type EntryReceipt = Receipt & {
  /** The key belongs to the task with this id, which has another payload: the entry was not scheduled. */
  readonly keyConflict: boolean
}

export type Find = Omit<FindFilter, "limit"> & {
  /** 1 to 1,000; default 100. */
  readonly limit?: number
}
export type Found = { readonly tasks: ReadonlyArray<TaskSummary>; readonly next: string | null }

export type ScheduleError = PayloadRejected | OptionsRejected | StoreUnavailable | DueBeyondHorizon
export type LookUpError = StoreUnavailable | TaskNotFound | OptionsRejected
export type ActError = LookUpError | InvalidTransition

/** By name: a kind or a queue, whether or not anybody serves it yet. */
export type Pausable =
  | { readonly kind: string; readonly queue?: undefined }
  | { readonly queue: string; readonly kind?: undefined }
export type PauseError = StoreUnavailable | OptionsRejected

export const findLimitDefault = 100
export const findLimitMax = 1_000
/** Characters of the reason of a cancellation. */
export const reasonLengthMax = 1_000

/** Repeats after an answer that was lost: 50, 100, ... 800 ms, then the caller hears of it. */
const afterLostAnswer = { schedule: Schedule.exponential("50 millis"), times: 5 }
const wasLost = (error: { readonly _tag: string; readonly commitUnknown?: boolean }) => error.commitUnknown === true

const make = Effect.gen(function* () {
  const store = yield* TaskStore
  const clock = yield* Clock.Clock
  const ids = yield* Ids
  const payloadBytesMax = yield* PayloadBytesMax
  const nowMs = () => Number(clock.currentTimeNanosUnsafe()) / 1e6 + store.clockOffsetMs()

  const newTask = (policy: KindPolicy, plan: Plan, payload: Json): NewTask => {
    const atMs = nowMs()
    const nominalDueAtMs = plan.dueAtMs(atMs)
    const taskId = TaskId.make(nominalDueAtMs, slotOf(plan), ids.taskBytes())
    return {
      taskId,
      eventId: ids.eventId(),
      kind: policy.kind,
      priority: plan.priority ?? policy.priority,
      dueAtMs: jitteredDueAtMs(nominalDueAtMs, taskId, policy.dueJitter),
      key: plan.key,
      payload
    }
  }

  const slotOf = (plan: Plan): number => {
    if (plan.orderingKey !== null) return TaskId.slotOfKey(plan.orderingKey)
    const [high = 0, low = 0] = ids.taskBytes()
    return ((high << 8) | low) & (TaskId.slotsCount - 1)
  }

  const read = (
    policy: KindPolicy,
    encoded: Result.Result<unknown, PayloadRejected>,
    options: ScheduleOptions
  ): Result.Result<NewTask, PayloadRejected | OptionsRejected> =>
    Result.gen(function* () {
      const payload = yield* storablePayload(policy.kind, yield* encoded, payloadBytesMax)
      return newTask(policy, yield* planOf(options), payload)
    })

  const write = Effect.fnUntraced(function* (tasks: ReadonlyArray<NewTask>) {
    const answers: Array<Scheduled> = []
    for (let from = 0; from < tasks.length; from += batchSizeMax) {
      const batch = tasks.slice(from, from + batchSizeMax)
      answers.push(...(yield* Effect.retry(store.schedule(batch), { ...afterLostAnswer, while: wasLost })))
    }
    return answers
  })

  const writeEntries = (read: ReadonlyArray<Result.Result<NewTask, PayloadRejected | OptionsRejected>>) =>
    Effect.flatMap(Effect.fromResult(Result.all(read)), (tasks) =>
      Effect.map(write(tasks), (answers) => answers.map(entryReceiptOf))
    )

  const act = Effect.fnUntraced(function* (id: string, wish: Wish) {
    const taskId = yield* checkedId(id)
    const eventId = ids.eventId()
    const acted = yield* Effect.retry(store.act(taskId, eventId, wish), { ...afterLostAnswer, while: wasLost })
    if (acted._tag === "Done") return summaryOf(acted.state)
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
    yield* Effect.retry(store.pause(checked, isPaused), { ...afterLostAnswer, while: wasLost })
  })

  return Duetime.of({
    schedule: Effect.fnUntraced(function* (kind, payload, options = {}) {
      const task = yield* Effect.fromResult(read(kind.policy, kind.encodePayload(payload), options))
      const [answer] = yield* write([task])
      if (answer?._tag === "KeyConflict") {
        return yield* new KeyConflict({ kind: task.kind, key: task.key ?? "", taskId: answer.taskId })
      }
      return { id: answer?.taskId ?? task.taskId, created: answer?._tag === "Created" }
    }),
    scheduleMany: (kind, tasks) =>
      Effect.suspend(() =>
        writeEntries(tasks.map(({ payload, ...options }) => read(kind.policy, kind.encodePayload(payload), options)))
      ),
    scheduleUntyped: Effect.fnUntraced(function* (tasks) {
      const records = yield* store.kinds
      const policyOf = (kind: string) =>
        records.find((record) => record.known && record.policy.kind === kind)?.policy ?? defaultKindPolicy(kind)
      return yield* writeEntries(
        tasks.map(({ kind, payload, ...options }) =>
          Result.flatMap(nameOf("kind", kind), (name) => read(policyOf(name), Result.succeed(payload), options))
        )
      )
    }),

    get: Effect.fnUntraced(function* (id) {
      const taskId = yield* checkedId(id)
      const view = viewOf(yield* store.history(taskId))
      return view ?? (yield* new TaskNotFound({ taskId }))
    }),
    history: (id) => Effect.flatMap(checkedId(id), store.history),
    find: Effect.fnUntraced(function* ({ limit = findLimitDefault, ...filter }) {
      if (!Number.isInteger(limit) || limit < 1 || limit > findLimitMax) {
        return yield* rejected("limit", limit, `Give a whole number from 1 to ${findLimitMax}`)
      }
      const page = yield* store.find({ ...filter, limit })
      return { tasks: page.tasks.map(summaryOf), next: page.next }
    }),

    cancel: Effect.fnUntraced(function* (id, reason) {
      if (reason !== undefined && (reason.length > reasonLengthMax || !isStorable(reason))) {
        return yield* rejected("reason", reason, `Give at most ${reasonLengthMax} characters without U+0000`)
      }
      return yield* act(id, { _tag: "Cancel", reason: reason ?? null })
    }),
    reschedule: Effect.fnUntraced(function* (id, when) {
      if (when.in === undefined && when.at === undefined) {
        return yield* rejected("when", when, "Give `in` or `at`, or use runNow")
      }
      const dueAtMs = yield* Effect.fromResult(dueOf(when))
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

    pause: (target) => setPaused(target, true),
    resume: (target) => setPaused(target, false)
  })
})

const isStorable = (text: string): boolean => Result.isSuccess(toStorable(text))

const storablePayload = (kind: string, encoded: unknown, bytesMax: number): Result.Result<Json, PayloadRejected> => {
  const stored = toStorable(encoded)
  if (Result.isFailure(stored)) {
    const { path, reason } = stored.failure
    const wayOut = "Give plain JSON: text, finite numbers, booleans, null, arrays and plain objects"
    return Result.fail(new PayloadRejected({ kind, path, problem: reason, wayOut }))
  }
  const bytes = Buffer.byteLength(JSON.stringify(stored.success))
  if (bytes <= bytesMax) return Result.succeed(stored.success)
  const problem = `${bytes} bytes of JSON, over the limit of ${bytesMax}`
  const wayOut = "Store the data elsewhere and put where it is into the payload"
  return Result.fail(new PayloadRejected({ kind, path: "$", problem, wayOut }))
}

const checkedId = (id: string): Effect.Effect<TaskId.TaskId, OptionsRejected> => {
  const taskId = String(id).toLowerCase()
  return TaskId.isTaskId(taskId)
    ? Effect.succeed(taskId)
    : Effect.fail(rejected("id", id, "Give the id that schedule returned, a UUID of version 7"))
}

const pauseTargetOf = (target: Pausable): Result.Result<PauseTarget, OptionsRejected> => {
  const { kind, queue } = target
  if (kind !== undefined && queue === undefined) {
    return Result.map(nameOf("kind", kind), (name) => ({ _tag: "Kind", kind: name }))
  }
  if (queue !== undefined && kind === undefined) {
    return Result.map(nameOf("queue", queue), (name) => ({ _tag: "Queue", queue: name }))
  }
  return Result.fail(rejected("target", target, "Give a kind or a queue"))
}

const entryReceiptOf = (answer: Scheduled): EntryReceipt => ({
  id: answer.taskId,
  created: answer._tag === "Created",
  keyConflict: answer._tag === "KeyConflict"
})

/** The wishes in the words of the client. */
const verbs = [
  ["Cancel", "cancel"],
  ["Reschedule", "reschedule"],
  ["Reprioritise", "reprioritise"],
  ["RunNow", "runNow"],
  ["Redrive", "redrive"]
] as const satisfies ReadonlyArray<readonly [Wish["_tag"], string]>

const verbOf = (wish: Wish): string => verbs.find(([tag]) => tag === wish._tag)?.[1] ?? wish._tag
