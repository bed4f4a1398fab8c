import { Context, Effect, Layer, Result } from "effect"
import { createHash } from "node:crypto"
import { canonicalJson } from "./core/canonicalJson.ts"
import { isFollowed } from "./core/followUps.ts"
import { followUpsOf } from "./FollowUp.ts"
import { defaultKindPolicy, jitteredDueAtMs, type KindPolicy } from "./core/KindPolicy.ts"
import { compiledOf } from "./core/recurrence/compiled.ts"
import { decideFates } from "./core/recurrence/fates.ts"
import { preview, previewCountMax } from "./core/recurrence/Rule.ts"
import type { Json } from "./core/TaskEvent.ts"
import * as TaskId from "./core/TaskId.ts"
import { namesOf } from "./core/unknownName.ts"
import { notDefined, storablePayload } from "./clientInput.ts"
import { PayloadBytesMax, type PayloadKind, type Receipt } from "./Scheduling.ts"
import { type OptionsRejected, type PayloadRejected, RecurrenceExists } from "./DuetimeError.ts"
import { type InstantInput, instantMsOf, nameOf, rejected, unknownOption } from "./optionValues.ts"
import { type RecurrenceOptions, recurrencePlanOf, type Recurs, ruleOf } from "./RecurrenceOptions.ts"
import { type FateView, fateViewOf, type LineView, lineViewOf, type RecurrenceView, viewOf } from "./RecurrenceView.ts"
import { ruleWords } from "./ruleWords.ts"
import { Ids } from "./store/Ids.ts"
import {
  type Recurrence,
  type RecurrenceChange,
  type RecurrenceDefinition,
  RecurrenceStore
} from "./store/RecurrenceStore.ts"
import type { DueBeyondHorizon, RecurrenceNotFound, StoreUnavailable } from "./store/StoreError.ts"
import { TaskStore } from "./store/TaskStore.ts"
import { untilAnswered } from "./untilAnswered.ts"

/**
 * Rules that schedule tasks of a kind again and again, made and changed at run time: one per customer, if need be. What is
 * declared in code (`kind.recur`) is the same thing under another way in. Everything is checked here, before the store sees it.
 * Making and changing join the transaction of the caller, if there is one.
 */
export class Recurrences extends Context.Service<
  Recurrences,
  {
    /**
     * Makes it; its first instant is the first one from now on. With a definition that its name has already: nothing. The name
     * is 1 to 100 characters of a-z, 0-9, ".", "_" and "-", a letter first.
     */
    readonly create: <Payload>(
      kind: PayloadKind<Payload>,
      name: string,
      options: RecurrenceOptions<Payload>
    ) => Effect.Effect<RecurrenceView, DefineError | RecurrenceExists>
    /**
     * As it should be by the code that runs: made if it is missing, changed if this declaration is new, and left alone if it
     * is one that was replaced since, by newer code or by hand, which is told in the log.
     */
    readonly declare: <Payload>(
      kind: PayloadKind<Payload>,
      name: string,
      options: RecurrenceOptions<Payload>
    ) => Effect.Effect<RecurrenceView, DefineError>
    /**
     * Replaces the whole definition. Instants up to now are the old one's; of later ones, what was decided ahead and has not
     * started is taken back, and what the new one has of it runs once, by the new one.
     */
    readonly edit: <Payload>(
      kind: PayloadKind<Payload>,
      name: string,
      options: RecurrenceOptions<Payload>
    ) => Effect.Effect<RecurrenceView, DefineError | RecurrenceNotFound>
    /** Its instants pass without a task until it is resumed. Those that were due before run. */
    readonly pause: (name: string) => Effect.Effect<RecurrenceView, ChangeError>
    readonly resume: (name: string) => Effect.Effect<RecurrenceView, ChangeError>
    /** Takes back what has not come yet. What it has scheduled before, and its ledger, stay. */
    readonly delete: (name: string) => Effect.Effect<void, ChangeError>
    /** One more task, now. It is no instant of the rule: not in the ledger, and nothing to the overlap policy. */
    readonly runNow: (name: string) => Effect.Effect<Receipt, ChangeError | DueBeyondHorizon>

    readonly get: (name: string) => Effect.Effect<RecurrenceView, ChangeError>
    /** By name, 1 to 1,000 a page (default 100), those after the name `after`. */
    readonly list: (
      page?: RecurrencesPage
    ) => Effect.Effect<ReadonlyArray<RecurrenceView>, StoreUnavailable | OptionsRejected>
    /** Its next instants from now on, 1 to 1,000; default 5. They pass without a task while it is paused. */
    readonly preview: (name: string, count?: number) => Effect.Effect<ReadonlyArray<Date>, ChangeError>
    /** The same of a rule that nobody has stored, and what it says in words. */
    readonly previewOf: (recurs: Recurs, count?: number) => Effect.Effect<RulePreview, OptionsRejected>
    /** What would become of its instants if no engine ran from `from` to `until` and no task of it were unfinished then. */
    readonly previewOutage: (name: string, outage: Outage) => Effect.Effect<ReadonlyArray<FateView>, ChangeError>
    /** The latest lines of its ledger, latest first, 1 to 1,000; default 20. */
    readonly ledger: (name: string, limit?: number) => Effect.Effect<ReadonlyArray<LineView>, ChangeError>
  }
>()("duetime/Recurrences") {
  static readonly layer: Layer.Layer<Recurrences, never, RecurrenceStore | TaskStore> = Layer.effect(
    Recurrences,
    Effect.suspend(() => make)
  )
}

export type RecurrencesPage = { readonly after?: string | undefined; readonly limit?: number }
export type Outage = { readonly from: InstantInput; readonly until: InstantInput }

const pageNames = namesOf<RecurrencesPage>({ after: true, limit: true })
const outageNames = namesOf<Outage>({ from: true, until: true })

/** `words`: "At 10:00, Monday through Friday, Europe/Berlin". */
export type RulePreview = { readonly words: string; readonly instants: ReadonlyArray<Date> }

export type DefineError = OptionsRejected | PayloadRejected | StoreUnavailable
export type ChangeError = OptionsRejected | RecurrenceNotFound | StoreUnavailable

export const listLimitDefault = 100
const ledgerLimitDefault = 20
const pageMax = 1_000
export const previewCountDefault = 5

const make = Effect.gen(function* () {
  const recurrences = yield* RecurrenceStore
  const store = yield* TaskStore
  const ids = yield* Ids
  const payloadBytesMax = yield* PayloadBytesMax
  const { clockWith } = Effect
  const nowMs = clockWith((clock) =>
    Effect.sync(() => Math.floor(Number(clock.currentTimeNanosUnsafe()) / 1e6 + store.clockOffsetMs()))
  )

  const definitionOf = <Payload>(
    kind: PayloadKind<Payload>,
    options: RecurrenceOptions<Payload>
  ): Result.Result<RecurrenceDefinition, OptionsRejected | PayloadRejected> =>
    Result.gen(function* () {
      const fault = notDefined(kind)
      if (fault !== null) return yield* Result.fail(fault)
      const { edition, ...plan } = yield* recurrencePlanOf(options)
      const encoded = yield* kind.encodePayload(options.payload)
      const payload = yield* storablePayload(kind.policy.kind, encoded, payloadBytesMax)
      const definition = { ...plan, kind: kind.policy.kind, payload }
      const followUps = yield* followUpsOf(options, payloadBytesMax)
      // As before there were any, for what has none: its digest stays what it was.
      const told = isFollowed(followUps) ? { followUps } : {}
      return { ...definition, followUps, digest: digestOf({ ...definition, edition, ...told }) }
    })

  const checkedName = (name: string) => Effect.fromResult(nameOf("name", name))

  const found = (name: string) => Effect.andThen(checkedName(name), recurrences.find(name))

  /** A repeat says what there was before the first try: that one may have been heard, and somebody else have changed it since. */
  const revise = Effect.fnUntraced(function* (name: string, change: RecurrenceChange) {
    const before = yield* untilAnswered(found(name))
    let repeatOf: Recurrence | undefined
    const once = Effect.suspend(() => recurrences.revise(name, change, repeatOf)).pipe(
      Effect.catchTag("RecurrenceNotFound", (error) =>
        change._tag === "Delete" && repeatOf !== undefined
          ? Effect.succeed({ _tag: "Changed", recurrence: before } as const)
          : Effect.fail(error)
      ),
      Effect.tapError(() => Effect.sync(() => (repeatOf = before)))
    )
    return yield* untilAnswered(once)
  })
  const changedView = (name: string, change: RecurrenceChange) =>
    Effect.map(revise(name, change), ({ recurrence }) => viewOf(recurrence))

  const create = Effect.fnUntraced(function* (name: string, definition: RecurrenceDefinition) {
    yield* checkedName(name)
    return yield* untilAnswered(recurrences.create(name, definition))
  })

  const checkedCount = (field: string, count: number, most: number) =>
    Number.isInteger(count) && count >= 1 && count <= most
      ? Effect.succeed(count)
      : Effect.fail(rejected(field, count, `Give a whole number from 1 to ${most}`))

  const declare: Recurrences["Service"]["declare"] = Effect.fnUntraced(function* (kind, name, options) {
    const definition = yield* Effect.fromResult(definitionOf(kind, options))
    const { created, recurrence } = yield* create(name, definition)
    if (created || recurrence.digest === definition.digest) return viewOf(recurrence)
    const revised = yield* revise(name, { _tag: "Edit", definition, unlessSuperseded: true }).pipe(
      // Deleted in between: by somebody who did not want it.
      Effect.catchTag("RecurrenceNotFound", () => Effect.succeed({ _tag: "Superseded", recurrence } as const))
    )
    if (revised._tag === "Superseded")
      yield* Effect.logWarning(
        `The declaration of the recurrence "${name}" was replaced since, and is left alone. Is it the newest, give it a higher edition; otherwise deploy the newer code here too.`
      )
    return viewOf(revised.recurrence)
  })

  return Recurrences.of({
    create: Effect.fnUntraced(function* (kind, name, options) {
      const definition = yield* Effect.fromResult(definitionOf(kind, options))
      const { created, recurrence } = yield* create(name, definition)
      if (created || recurrence.digest === definition.digest) return viewOf(recurrence)
      return yield* new RecurrenceExists({ name })
    }),
    declare,
    edit: Effect.fnUntraced(function* (kind, name, options) {
      const definition = yield* Effect.fromResult(definitionOf(kind, options))
      return yield* changedView(name, { _tag: "Edit", definition, unlessSuperseded: false })
    }),
    pause: (name) => changedView(name, { _tag: "Pause" }),
    resume: (name) => changedView(name, { _tag: "Resume" }),
    delete: (name) => Effect.asVoid(revise(name, { _tag: "Delete" })),
    runNow: Effect.fnUntraced(function* (name) {
      const { followUps = {}, kind, payload, priority } = yield* found(name)
      const records = yield* store.kinds
      const policy = records.find((record) => record.policy.kind === kind)?.policy ?? defaultKindPolicy(kind)
      const task = { ...newTask(policy, priority ?? policy.priority, payload, yield* nowMs), ...followUps }
      yield* untilAnswered(store.schedule([task]))
      return { id: task.taskId, created: true }
    }),
    get: (name) => Effect.map(found(name), viewOf),
    list: Effect.fnUntraced(function* (page = {}) {
      const unknown = unknownOption(page, pageNames)
      if (unknown !== null) return yield* unknown
      const { after, limit = listLimitDefault } = page
      const behind = after === undefined ? null : yield* Effect.fromResult(nameOf("after", after))
      const rows = yield* recurrences.list(behind, yield* checkedCount("limit", limit, pageMax))
      return rows.map(viewOf)
    }),
    preview: Effect.fnUntraced(function* (name, count = previewCountDefault) {
      const { rule } = yield* found(name)
      const most = yield* checkedCount("count", count, previewCountMax)
      return datesOf(preview(Result.getOrThrow(compiledOf(rule)), yield* nowMs, most))
    }),
    previewOf: Effect.fnUntraced(function* (recurs, count = previewCountDefault) {
      const rule = yield* Effect.fromResult(ruleOf(recurs))
      const most = yield* checkedCount("count", count, previewCountMax)
      const instants = datesOf(preview(Result.getOrThrow(compiledOf(rule)), yield* nowMs, most))
      return { words: ruleWords(rule), instants }
    }),
    previewOutage: Effect.fnUntraced(function* (name, outage) {
      const unknown = unknownOption(outage, outageNames)
      if (unknown !== null) return yield* unknown
      const { policies, rule } = yield* found(name)
      const fromMs = Math.floor(yield* Effect.fromResult(instantMsOf("from", outage.from)))
      const untilMs = Math.floor(yield* Effect.fromResult(instantMsOf("until", outage.until)))
      if (untilMs < fromMs) return yield* rejected("until", outage.until, "Give an instant that is not before `from`")
      const { next, openedMs } = Result.getOrThrow(compiledOf(rule))
      const { decided } = decideFates({
        next,
        openedMs,
        policies,
        settledUntilMs: fromMs,
        nowMs: untilMs,
        untilMs,
        isBusy: false
      })
      return decided.map(fateViewOf)
    }),
    ledger: Effect.fnUntraced(function* (name, limit = ledgerLimitDefault) {
      const { recurrenceId } = yield* found(name)
      return (yield* recurrences.latest(recurrenceId, yield* checkedCount("limit", limit, pageMax))).map(lineViewOf)
    })
  })

  function newTask(policy: KindPolicy, priority: KindPolicy["priority"], payload: Json, dueAtMs: number) {
    const [high = 0, low = 0] = ids.taskBytes()
    const taskId = TaskId.make(dueAtMs, ((high << 8) | low) & (TaskId.slotsCount - 1), ids.taskBytes())
    return {
      taskId,
      eventId: ids.eventId(),
      kind: policy.kind,
      priority,
      dueAtMs: jitteredDueAtMs(dueAtMs, taskId, policy.dueJitter),
      key: null,
      payload
    }
  }
})

const datesOf = (instantsMs: ReadonlyArray<number>): ReadonlyArray<Date> => instantsMs.map((atMs) => new Date(atMs))

const digestOf = (definition: Json): string => createHash("sha256").update(canonicalJson(definition)).digest("hex")
