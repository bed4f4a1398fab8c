import { Clock, Effect } from "effect"
import type { TaskEvent } from "./core/TaskEvent.ts"
import { isTaskId, type TaskId } from "./core/TaskId.ts"
import { namesOf } from "./core/unknownName.ts"
import type { ActError } from "./Duetime.ts"
import type { OptionsRejected } from "./DuetimeError.ts"
import { rejected, unknownOption } from "./optionValues.ts"
import type { StoreUnavailable } from "./store/StoreError.ts"
import type { TaskStore } from "./store/TaskStore.ts"

/**
 * The rule of a ramped redrive. The first batch is 1 % of the group, at most 10 letters; each one after it is twice as large,
 * up to 2 % of the group and 500 letters. A batch is redriven when of each letter of the one before the first outcome is known: its
 * attempt succeeded, or failed, or the task ended otherwise. When more than a share of a batch has failed, a tenth if nothing else is
 * said, no further letter is redriven. So a cause that is not mended costs one batch: at most 2 % of the group, or one letter.
 */
export type Ramp = {
  /** Letters of the first batch. */
  readonly firstBatch: number
  /** Letters of the largest one. */
  readonly batchMax: number
  /** 0 to 1: of more failures than this share of a batch it stops. */
  readonly failureShareMax: number
  /** Ms that the outcomes of a batch are waited for. */
  readonly waitMsMax: number
}

export type RampOptions = {
  /** 0 to 1, default 0.1. */
  readonly failureShareMax?: number | undefined
  /** Ms, default 5 minutes, 1 s to a day. Behind it the ramp stops: nobody serves the kind, or its attempts take longer. */
  readonly waitMsMax?: number | undefined
  /** Only letters with a higher id: `after` of a ramp that stopped, to leave out what it has tried. */
  readonly after?: string | undefined
  /** Called behind each batch. */
  readonly onBatch?: ((progress: RampProgress) => Effect.Effect<void>) | undefined
}

export type RampProgress = {
  /** Letters of the group when the ramp began. */
  readonly count: number
  readonly batches: number
  readonly redriven: number
  readonly succeeded: number
  /** An attempt has failed, whether or not the task is tried again. */
  readonly failed: number
  /** Cancelled, expired, snoozed, or gone with its day. */
  readonly other: number
  /** Moved by somebody else before this ramp could. */
  readonly skipped: number
  /** The highest id that was redriven; null: none. */
  readonly after: TaskId | null
}

export type RampEnd = RampProgress & {
  readonly group: string
  /** Null: to the end of the group. */
  readonly stopped: { readonly reason: "failures" | "no-outcomes"; readonly message: string } | null
}

const firstShare = 0.01
const firstBatchMax = 10
const batchShareMax = 0.02
const batchMax = 500
const growth = 2
export const failureShareMaxDefault = 0.1
export const waitMsMaxDefault = 300_000
const waitMsLeast = 1_000
const waitMsMost = 86_400_000
/** Outcomes are looked for after a tenth of the time that they have been waited for, within these bounds. */
const lookMsMin = 50
const lookMsMax = 2_000
const lookShare = 0.1
const looksInParallel = 4
const redrivesInParallel = 8

/** How large the batches of a group are. */
export const rampOf = (count: number, { failureShareMax, waitMsMax }: RampOptions = {}): Ramp => {
  const largest = Math.max(1, Math.min(batchMax, Math.floor(count * batchShareMax)))
  return {
    firstBatch: Math.max(1, Math.min(firstBatchMax, largest, Math.ceil(count * firstShare))),
    batchMax: largest,
    failureShareMax: failureShareMax ?? failureShareMaxDefault,
    waitMsMax: waitMsMax ?? waitMsMaxDefault
  }
}

type Verdict = "succeeded" | "failed" | "other"

/** What has become of the last redrive of a history; null: nothing yet. */
export const verdictOf = (events: ReadonlyArray<TaskEvent>): Verdict | null => {
  const since = events.findLastIndex(({ _tag }) => _tag === "TaskRedriven")
  for (const { _tag } of events.slice(since + 1)) {
    switch (_tag) {
      case "AttemptSucceeded":
      case "TaskReconciled":
        return "succeeded"
      case "AttemptFailed":
      case "AttemptExpired":
      case "TaskParked":
      case "TaskDeadLettered":
        return "failed"
      case "AttemptSnoozed":
      case "TaskCancelled":
      case "TaskExpired":
        return "other"
      default:
        continue
    }
  }
  return null
}

export const rampedRedrive = Effect.fnUntraced(function* (parts: {
  readonly store: TaskStore["Service"]
  readonly redrive: (id: TaskId) => Effect.Effect<unknown, ActError>
  readonly group: string
  readonly options: RampOptions
}): Effect.fn.Return<RampEnd, OptionsRejected | StoreUnavailable> {
  const { group, options, redrive, store } = parts
  yield* checkedOptions(options)
  const [found] = yield* store.deadGroups({ group, limit: 1 })
  const count = found?.count ?? 0
  const ramp = rampOf(count, options)
  const tally = { batches: 0, redriven: 0, succeeded: 0, failed: 0, other: 0, skipped: 0 }
  let after: TaskId | null = options.after ?? null
  const progress = (): RampProgress => ({ count, ...tally, after })

  /** Redrives the next letters and answers those that it could. */
  const redriveBatch = Effect.fnUntraced(function* (size: number) {
    const { next, tasks } = yield* store.find({ stage: "dead", group, limit: size, after: after ?? undefined })
    const redriven: Array<TaskId> = []
    const one = ({ taskId }: { readonly taskId: TaskId }) =>
      redrive(taskId).pipe(
        Effect.tap(() => Effect.sync(() => redriven.push(taskId))),
        Effect.catchTag(["InvalidTransition", "TaskNotFound", "OptionsRejected"], () =>
          Effect.sync(() => tally.skipped++)
        )
      )
    yield* Effect.forEach(tasks, one, { concurrency: redrivesInParallel, discard: true })
    tally.redriven += redriven.length
    after = tasks.at(-1)?.taskId ?? after
    return { redriven, isLast: next === null }
  })

  /** Waits for their outcomes, but no longer than until too many have failed. */
  const outcomesOf = Effect.fnUntraced(function* (batch: ReadonlyArray<TaskId>) {
    const clock = yield* Clock.Clock
    const nowMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const sinceMs = nowMs()
    const waiting = new Set(batch)
    let failed = 0
    const isTooMuch = () => failed > batch.length * ramp.failureShareMax
    const look = (taskId: TaskId) =>
      Effect.map(verdictNow(store, taskId), (verdict) => {
        if (verdict === null) return
        waiting.delete(taskId)
        tally[verdict]++
        if (verdict === "failed") failed++
      })
    while (true) {
      yield* Effect.forEach(Array.from(waiting), look, { concurrency: looksInParallel, discard: true })
      const waitedMs = nowMs() - sinceMs
      if (isTooMuch() || waiting.size === 0 || waitedMs >= ramp.waitMsMax) break
      yield* Effect.sleep(Math.min(lookMsMax, Math.max(lookMsMin, waitedMs * lookShare)))
    }
    return { failed, isTooMuch: isTooMuch(), waitingCount: waiting.size }
  })

  for (let size = ramp.firstBatch; ; size = Math.min(ramp.batchMax, size * growth)) {
    const { isLast, redriven } = yield* redriveBatch(size)
    const { failed, isTooMuch, waitingCount } = yield* outcomesOf(redriven)
    if (redriven.length > 0) tally.batches++
    if (options.onBatch !== undefined) yield* options.onBatch(progress())
    if (isTooMuch) {
      const message = `${failed} of the last ${redriven.length} redriven have failed again, more than ${ramp.failureShareMax * 100} %`
      return { group, ...progress(), stopped: { reason: "failures", message } }
    }
    if (waitingCount > 0) {
      const message = `${waitingCount} of the last ${redriven.length} redriven have no outcome after ${ramp.waitMsMax / 1_000} s: is their kind served, and not paused?`
      return { group, ...progress(), stopped: { reason: "no-outcomes", message } }
    }
    if (isLast) return { group, ...progress(), stopped: null }
  }
})

const verdictNow = (store: TaskStore["Service"], taskId: TaskId): Effect.Effect<Verdict | null, StoreUnavailable> =>
  Effect.map(store.history(taskId), verdictOf).pipe(
    Effect.catchTag("TaskNotFound", () => Effect.succeed("other" as const))
  )

const names = namesOf<RampOptions>({ failureShareMax: true, waitMsMax: true, after: true, onBatch: true })

const checkedOptions = (options: RampOptions): Effect.Effect<void, OptionsRejected> => {
  const unknown = unknownOption(options, names)
  if (unknown !== null) return Effect.fail(unknown)
  const { after, failureShareMax, waitMsMax } = options
  if (after !== undefined && !isTaskId(after)) {
    return Effect.fail(rejected("after", after, "Give the `after` of a ramp that stopped, an id"))
  }
  if (failureShareMax !== undefined && !(failureShareMax >= 0 && failureShareMax <= 1)) {
    return Effect.fail(
      rejected("failureShareMax", failureShareMax, "Give a share from 0 to 1, such as 0.1 for a tenth")
    )
  }
  if (waitMsMax !== undefined && !(waitMsMax >= waitMsLeast && waitMsMax <= waitMsMost)) {
    return Effect.fail(rejected("waitMsMax", waitMsMax, `Give ${waitMsLeast} ms to a day`))
  }
  return Effect.void
}
