import { Clock, Context, Effect, Predicate, Result } from "effect"
import { notDefined, storablePayload } from "./clientInput.ts"
import { openJitteredDueAtMs } from "./core/calendar/Due.ts"
import { defaultKindPolicy, type KindPolicy } from "./core/KindPolicy.ts"
import type { FollowUps, Json } from "./core/TaskEvent.ts"
import * as TaskId from "./core/TaskId.ts"
import { KeyConflict, type OptionsRejected, type PayloadRejected } from "./DuetimeError.ts"
import { scheduling } from "./DuetimeTraces.ts"
import { followUpsOf } from "./FollowUp.ts"
import { nameOf, rejected, unknownOption } from "./optionValues.ts"
import {
  expiryFaultOf,
  namesBeside,
  type Plan,
  planOf,
  type ScheduleOptions,
  secondsFaultOf
} from "./ScheduleOptions.ts"
import { Ids } from "./store/Ids.ts"
import type { DueBeyondHorizon, StoreUnavailable } from "./store/StoreError.ts"
import { batchSizeMax, type NewTask, payloadBytesMaxDefault, type Scheduled, TaskStore } from "./store/TaskStore.ts"
import { untilAnswered } from "./untilAnswered.ts"

/** How a caller's payload and options become tasks in the store: checked, given ids, written in batches. */
export type Scheduling = {
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
}

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

export type ScheduleError = PayloadRejected | OptionsRejected | StoreUnavailable | DueBeyondHorizon

/** Bytes of a payload's JSON text. */
export const PayloadBytesMax = Context.Reference<number>("duetime/PayloadBytesMax", {
  defaultValue: () => payloadBytesMaxDefault
})

/**
 * Batches of one request that are on their way to the store at the same time, so that this process encodes one while the
 * server stores another. With keys they go one after another: the first entry with a key is the one that is stored.
 */
const batchesAtOnceMax = 2

const ofSchedule = namesBeside()
const ofEntry = namesBeside("payload")
const ofUntyped = namesBeside("kind", "payload")

/** An entry that can be stored, before it has ids. */
type Checked = {
  readonly policy: KindPolicy
  readonly plan: Plan
  readonly payload: Json
  readonly followUps: FollowUps
}

/** Scheduling joins the transaction of the caller, if there is one, and is never repeated with new ids. */
export const make: Effect.Effect<Scheduling, never, TaskStore> = Effect.gen(function* () {
  const store = yield* TaskStore
  const clock = yield* Clock.Clock
  const ids = yield* Ids
  const payloadBytesMax = yield* PayloadBytesMax
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
      return untilAnswered(store.schedule(tasks))
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

  return {
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
    })
  }
})

/** A guard would take the type from an entry. */
const isObject = (entry: unknown): boolean => Predicate.isObject(entry)

const entryReceiptOf = (answer: Scheduled): EntryReceipt => ({
  id: answer.taskId,
  created: answer._tag === "Created",
  keyConflict: answer._tag === "KeyConflict"
})
