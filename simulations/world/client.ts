/**
 * The simulated application's client: schedules what is planned until it is acknowledged, and asks things of its tasks. Begun again
 * after a crash, it does what it has no answer to.
 */
import { Effect, Layer, Schedule } from "effect"
import { Duetime } from "../../src/Duetime.ts"
import { Recurrences } from "../../src/Recurrences.ts"
import type { Stage } from "../../src/core/TaskState.ts"
import { clientRecurrence, type RecurrenceNote } from "./clientRecurrences.ts"
import { kinds, secret } from "./handlers.ts"
import type { History, PlannedPause, PlannedTask, PlannedWish } from "./History.ts"
import type { Kernel } from "../../src/testing/simulation/Kernel.ts"

/** What the client was told of one task. */
export type Acknowledged = {
  readonly index: number
  readonly task: PlannedTask
  readonly id: string
  /** What the other fiber that scheduled it was told; null: there was none, or it has no answer. */
  twinId: string | null
}

/** An answer to a wish, with the instants between which it was decided. */
export type Told = {
  readonly id: string
  readonly wish: PlannedWish["wish"]
  readonly planned: PlannedWish
  readonly askedAtMs: number
  readonly toldAtMs: number
  /** The stage that the task was said to be in; null: it was said not to be possible. */
  readonly stage: Stage | null
  /** There was no such task. */
  readonly isGone: boolean
}

/** A kind that surely was paused between two instants. */
export type Paused = {
  readonly kind: string
  readonly planned: PlannedPause
  readonly fromMs: number
  untilMs: number
}

export type Notes = {
  readonly acknowledged: Array<Acknowledged>
  readonly told: Array<Told>
  readonly paused: Array<Paused>
  readonly recurrences: Array<RecurrenceNote>
}

export const client = ({ faults, pauses, recurrences, tasks }: History, kernel: Kernel, notes: Notes) => {
  // What a failover has taken from the client it has to ask for again.
  const settledFromMs = faults.reduce(
    (latestMs, fault) =>
      fault._tag === "Failover" || fault._tag === "Restore"
        ? Math.max(latestMs, fault.atMs + fault.forMs + 1)
        : latestMs,
    0
  )
  return Effect.all(
    [
      ...tasks.map((task, index) => clientTask(task, index, kernel, notes)),
      ...pauses.map((pause) => clientPause(pause, kernel, notes, settledFromMs)),
      ...recurrences.map((plan, index) => clientRecurrence(plan, index, kernel, notes.recurrences, settledFromMs))
    ],
    { concurrency: "unbounded", discard: true }
  ).pipe(Effect.andThen(Effect.never), Effect.provide(Layer.fresh(Layer.merge(Duetime.layer, Recurrences.layer))))
}

const clientTask = Effect.fnUntraced(function* (task: PlannedTask, index: number, kernel: Kernel, notes: Notes) {
  const id =
    notes.acknowledged.find((known) => known.index === index)?.id ?? (yield* scheduled(task, index, kernel, notes))
  const left = task.wishes.filter((planned) => !notes.told.some((known) => known.planned === planned))
  yield* Effect.forEach(left, (planned) => clientWish(id, planned, kernel, notes), {
    concurrency: "unbounded",
    discard: true
  })
})

const scheduled = Effect.fnUntraced(function* (task: PlannedTask, index: number, kernel: Kernel, notes: Notes) {
  const duetime = yield* Duetime
  const { dueInMs, expiresInMs, failures, hangs, workMs } = task
  yield* Effect.sleep(Math.max(0, task.atMs - kernel.nowMs))
  const options = {
    in: dueInMs,
    key: `task-${index}`,
    ...((task.isFollowed ?? index % 3 === 0) ? followUps() : {}),
    ...(expiresInMs === null ? {} : { expiresIn: expiresInMs })
  }
  const schedule = duetime
    .schedule(kinds[task.kind], { workMs, failures, hangs, secret }, options)
    .pipe(Effect.retry(again))
  const [receipt, twin] = yield* Effect.all([schedule, task.isTwice ? schedule : Effect.succeed(null)], {
    concurrency: "unbounded"
  })
  notes.acknowledged.push({ index, task, id: receipt.id, twinId: twin?.id ?? null })
  return receipt.id
})

/** Whatever the end, after a success by one that is followed itself. */
const followUps = () => {
  const work = { workMs: 20, failures: 0, hangs: 0, secret }
  return {
    onSuccess: kinds.mail.follow(work, { onSuccess: kinds.post.follow(work, { in: 500 }) }),
    onDead: kinds.alert.follow(work)
  }
}

const clientWish = Effect.fnUntraced(function* (id: string, planned: PlannedWish, kernel: Kernel, { told }: Notes) {
  const duetime = yield* Duetime
  const { inMs, wish } = planned
  const asked = {
    cancel: duetime.cancel(id),
    reschedule: duetime.reschedule(id, { in: 2_000 }),
    reprioritise: duetime.reprioritise(id, "critical"),
    runNow: duetime.runNow(id),
    redrive: duetime.redrive(id)
  }[wish]
  yield* Effect.sleep(inMs)
  const askedAtMs = kernel.nowMs
  let isGone = false
  const stage = yield* asked.pipe(
    Effect.retry({ while: ({ _tag }) => _tag === "StoreUnavailable", ...again }),
    Effect.map((summary): Stage | null => summary.stage),
    Effect.catchTags({
      InvalidTransition: () => Effect.succeed(null),
      // Too late for a task that expires.
      OptionsRejected: () => Effect.succeed(null),
      TaskNotFound: () =>
        Effect.sync(() => {
          isGone = true
          return null
        })
    })
  )
  told.push({ id, wish, planned, askedAtMs, toldAtMs: kernel.nowMs, stage, isGone })
})

const clientPause = Effect.fnUntraced(function* (
  planned: PlannedPause,
  kernel: Kernel,
  notes: Notes,
  settledFromMs: number
) {
  const duetime = yield* Duetime
  const { atMs, forMs, kind } = planned
  const target = { kind: kinds[kind].kind }
  let paused = notes.paused.find((known) => known.planned === planned)
  if (paused === undefined) {
    yield* Effect.sleep(Math.max(0, atMs - kernel.nowMs))
    yield* duetime.pause(target).pipe(Effect.retry(again))
    paused = { kind: target.kind, planned, fromMs: kernel.nowMs, untilMs: Number.POSITIVE_INFINITY }
    notes.paused.push(paused)
  }
  yield* Effect.sleep(Math.max(0, paused.fromMs + forMs - kernel.nowMs))
  // From the first time that it was asked: it may have been done then.
  paused.untilMs = Math.min(paused.untilMs, kernel.nowMs)
  yield* duetime.resume(target).pipe(Effect.retry(again))
  if (kernel.nowMs > settledFromMs) return
  yield* Effect.sleep(settledFromMs - kernel.nowMs)
  yield* duetime.resume(target).pipe(Effect.retry(again))
})

const again = { schedule: Schedule.spaced("300 millis") }
