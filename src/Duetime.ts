import { Clock, Context, type Duration, Effect, Layer, Predicate, Result, Schedule } from "effect"
import { openJitteredDueAtMs } from "./core/calendar/Due.ts"
import { defaultKindPolicy, type KindPolicy } from "./core/KindPolicy.ts"
import { fold } from "./core/evolve.ts"
import { machine } from "./core/machine.ts"
import { isPriority, priorities, type Priority } from "./core/Priority.ts"
import type { FollowUps, Json, TaskEvent } from "./core/TaskEvent.ts"
import * as TaskId from "./core/TaskId.ts"
import { namesOf } from "./core/unknownName.ts"
import { InvalidTransition, KeyConflict, type OptionsRejected, type PayloadRejected } from "./DuetimeError.ts"
import { checkedId, checkedReason, notDefined, storablePayload } from "./clientInput.ts"
import { scheduling } from "./DuetimeTraces.ts"
import { type Find, findFilterOf, type Found } from "./FindOptions.ts"
import { followUpsOf } from "./FollowUp.ts"
import { durationMsOf, isoOf, nameOf, rejected, unknownOption } from "./optionValues.ts"
import {
  expiryFaultOf,
  namesBeside,
  type Plan,
  planOf,
  secondsFaultOf,
  type ScheduleOptions,
  type When,
  whenOf
} from "./ScheduleOptions.ts"
import { Ids } from "./store/Ids.ts"
import { type DueBeyondHorizon, type StoreUnavailable, TaskNotFound } from "./store/StoreError.ts"
import {
  batchSizeMax,
  type NewTask,
  type PauseTarget,
  payloadBytesMaxDefault,
  type Scheduled,
  TaskStore,
  type Wish
} from "./store/TaskStore.ts"
import { endTimeoutMsDefault, endTimeoutMsMax, make as makeAwaitEnd, type TaskEnd } from "./TaskEnd.ts"
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
     * Stores many in batches of 1,000, two at a time unless they have keys, receipts in order. All are checked before the first
     * is stored. Outside a transaction a failure may leave other batches stored: give keys, and repeating is safe.
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

export type AwaitEndOptions = { readonly timeout?: Duration.Input | undefined }

export type ScheduleError = PayloadRejected | OptionsRejected | StoreUnavailable | DueBeyondHorizon
export type LookUpError = StoreUnavailable | TaskNotFound | OptionsRejected
export type ActError = LookUpError | InvalidTransition

/** By name: a kind or a queue, whether or not anybody serves it yet. */
export type Pausable =
  | { readonly kind: string; readonly queue?: undefined }
  | { readonly queue: string; readonly kind?: undefined }
export type PauseError = StoreUnavailable | OptionsRejected

/** Repeats after an answer that was lost: 50, 100, ... 800 ms, then the caller hears of it. */
const afterLostAnswer = { schedule: Schedule.exponential("50 millis"), times: 5 }
const wasLost = (error: { readonly _tag: string; readonly commitUnknown?: boolean }) => error.commitUnknown === true

/**
 * Batches of one request that are on their way to the store at the same time, so that this process encodes one while the
 * server stores another. With keys they go one after another: the first entry with a key is the one that is stored.
 */
const batchesAtOnceMax = 2

const ofSchedule = namesBeside()
const ofEntry = namesBeside("payload")
const ofUntyped = namesBeside("kind", "payload")
const ofAwaitEnd = namesOf<AwaitEndOptions>({ timeout: true })
const ofPausable = namesOf<Pausable>({ kind: true, queue: true })

/** An entry that can be stored, before it has ids. */
type Checked = {
  readonly policy: KindPolicy
  readonly plan: Plan
  readonly payload: Json
  readonly followUps: FollowUps
}

const make = Effect.gen(function* () {
  const store = yield* TaskStore
  const clock = yield* Clock.Clock
  const ids = yield* Ids
  const payloadBytesMax = yield* PayloadBytesMax
  const awaitEnd = yield* makeAwaitEnd(store.ends)
  const nowMs = () => Number(clock.currentTimeNanosUnsafe()) / 1e6 + store.clockOffsetMs()

  const newTask = ({ followUps, payload, plan, policy }: Checked, callers: string | undefined): NewTask => {
    const traceparent = plan.traceparent ?? callers
    const atMs = nowMs()
    const nominalDueAtMs = plan.dueAtMs(atMs)
    const taskId = TaskId.make(nominalDueAtMs, slotOf(plan), ids.taskBytes())
    const dueAtMs = openJitteredDueAtMs(nominalDueAtMs, taskId, policy.dueJitter, plan.calendar)
    return {
      taskId,
      eventId: ids.eventId(),
      kind: policy.kind,
      priority: plan.priority ?? policy.priority,
      dueAtMs,
      expiresAtMs: plan.expiresAtMs?.(dueAtMs) ?? null,
      key: plan.key,
      keyKeptMs: plan.keyKeptMs,
      payload,
      ...followUps,
      ...(traceparent === undefined ? {} : { traceparent })
    }
  }

  const slotOf = (plan: Plan): number => {
    if (plan.orderingKey !== null) return TaskId.slotOfKey(plan.orderingKey)
    const [high = 0, low = 0] = ids.taskBytes()
    return ((high << 8) | low) & (TaskId.slotsCount - 1)
  }

  const check = (
    policy: KindPolicy,
    encoded: Result.Result<unknown, PayloadRejected>,
    options: ScheduleOptions,
    known: ReadonlySet<string>
  ): Result.Result<Checked, PayloadRejected | OptionsRejected> => {
    // Before the payload, which may be under a misspelt name.
    const unknown = unknownOption(options, known)
    if (unknown !== null) return Result.fail(unknown)
    if (Result.isFailure(encoded)) return Result.fail(encoded.failure)
    const payload = storablePayload(policy.kind, encoded.success, payloadBytesMax)
    if (Result.isFailure(payload)) return Result.fail(payload.failure)
    const plan = planOf(options)
    if (Result.isFailure(plan)) return Result.fail(plan.failure)
    const atMs = nowMs()
    const fault = secondsFaultOf(options, atMs) ?? expiryFaultOf(policy, plan.success, options, atMs)
    if (fault !== null) return Result.fail(fault)
    const followUps = followUpsOf(options, payloadBytesMax)
    if (Result.isFailure(followUps)) return Result.fail(followUps.failure)
    return Result.succeed({ policy, plan: plan.success, payload: payload.success, followUps: followUps.success })
  }

  /** The ids are made once and not at each try: a repeat after a lost answer is the same request. */
  const write = (batch: ReadonlyArray<Checked>, traceparent: string | undefined) =>
    Effect.suspend(() => {
      const tasks = batch.map((task) => newTask(task, traceparent))
      return Effect.retry(store.schedule(tasks), { ...afterLostAnswer, while: wasLost })
    })

  const writeAll = Effect.fnUntraced(function* <Entry>(
    entries: ReadonlyArray<Entry>,
    checkEntry: (entry: Entry) => Result.Result<Checked, PayloadRejected | OptionsRejected>
  ) {
    if (!Array.isArray(entries)) return yield* rejected("tasks", entries, "Give an array of tasks")
    const batches: Array<Array<Checked>> = []
    let isKeyed = false
    for (const [index, entry] of entries.entries()) {
      if (!isObject(entry)) return yield* rejected(`tasks[${index}]`, entry, "Give an object with a payload")
      const checked = checkEntry(entry)
      if (Result.isFailure(checked)) return yield* checked.failure
      if (index % batchSizeMax === 0) batches.push([])
      batches.at(-1)?.push(checked.success)
      isKeyed ||= checked.success.plan.key !== null
    }
    const concurrency = isKeyed ? 1 : batchesAtOnceMax
    const kinds = () => batches.flatMap((batch) => batch.map(({ policy }) => policy.kind))
    const answers = yield* scheduling(kinds, (traceparent) =>
      Effect.forEach(batches, (batch) => write(batch, traceparent), { concurrency })
    )
    return answers.flatMap((batch) => batch.map(entryReceiptOf))
  })

  const act = Effect.fnUntraced(function* (id: string, wish: Wish) {
    const taskId = yield* checkedId(id)
    const eventId = ids.eventId()
    const acted = yield* Effect.retry(store.act(taskId, eventId, wish), { ...afterLostAnswer, while: wasLost })
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
    yield* Effect.retry(store.pause(checked, isPaused), { ...afterLostAnswer, while: wasLost })
  })

  return Duetime.of({
    schedule: Effect.fnUntraced(function* (kind, payload, options = {}) {
      const fault = notDefined(kind)
      if (fault !== null) return yield* fault
      const checked = yield* Effect.fromResult(check(kind.policy, kind.encodePayload(payload), options, ofSchedule))
      const [answer] =
        checked.plan.traceparent !== null
          ? yield* write([checked], undefined)
          : yield* scheduling(
              () => [kind.policy.kind],
              (traceparent) => write([checked], traceparent)
            )
      if (answer === undefined) return yield* Effect.die(new Error("the store answered fewer tasks than it was given"))
      const { _tag, taskId } = answer
      if (_tag !== "KeyConflict") return { id: taskId, created: _tag === "Created" }
      return yield* new KeyConflict({ kind: kind.policy.kind, key: checked.plan.key ?? "", taskId })
    }),
    scheduleMany: Effect.fnUntraced(function* (kind, tasks) {
      const fault = notDefined(kind)
      if (fault !== null) return yield* fault
      return yield* writeAll(tasks, (entry) => check(kind.policy, kind.encodePayload(entry.payload), entry, ofEntry))
    }),
    scheduleUntyped: Effect.fnUntraced(function* (tasks) {
      const records = yield* store.kinds
      const policies = new Map(records.flatMap(({ known, policy }) => (known ? [[policy.kind, policy] as const] : [])))
      return yield* writeAll(tasks, (entry) =>
        Result.flatMap(nameOf("kind", entry.kind), (name) =>
          check(policies.get(name) ?? defaultKindPolicy(name), Result.succeed(entry.payload), entry, ofUntyped)
        )
      )
    }),

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

/** A guard would take the type from an entry. */
const isObject = (entry: unknown): boolean => Predicate.isObject(entry)

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
  ["Redrive", "redrive"],
  ["DiscardDead", "discard"]
] as const satisfies ReadonlyArray<readonly [Wish["_tag"], string]>

const verbOf = (wish: Wish): string => verbs.find(([tag]) => tag === wish._tag)?.[1] ?? wish._tag
