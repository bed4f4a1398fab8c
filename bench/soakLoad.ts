import { Effect, Layer, Schema } from "effect"
import { type Priority, priorities } from "../src/core/Priority.ts"
import { Duetime, RetryPolicy, Task } from "../src/index.ts"

/** The mixed load of `soak`: what an application does in a day, of all of it a part in each second. */

const retryDelayMs = 1_000
const workMs = { from: 20, to: 200 }

const Plain = Task.define("bench.soak-plain", { payload: { n: Schema.Finite } })
const Graded = Task.define("bench.soak-graded", { payload: { n: Schema.Finite } })
const Working = Task.define("bench.soak-working", { payload: { workMs: Schema.Finite } })
const Retried = Task.define("bench.soak-retried", {
  payload: { n: Schema.Finite },
  retry: RetryPolicy.fixed({ delay: retryDelayMs, attemptsMax: 3 })
})
const Cancelled = Task.define("bench.soak-cancelled", { payload: { workMs: Schema.Finite } })
const Doomed = Task.define("bench.soak-doomed", { payload: { n: Schema.Finite }, retry: RetryPolicy.never })

export const soakKinds = [Plain, Graded, Working, Retried, Cancelled, Doomed].map(({ kind }) => kind)

/** Of all tasks; the rest is plain. */
export const shares = { graded: 0.15, retried: 0.12, working: 0.1, cancelled: 0.05, doomed: 0.02 }

class Refused extends Schema.TaggedError<Refused>()("Refused", {}) {}

/** Retried tasks fail once, doomed ones once and for all. */
export const soakHandlers = Layer.mergeAll(
  Plain.handle(() => Effect.void),
  Graded.handle(() => Effect.void),
  Working.handle((task) => Effect.sleep(task.workMs)),
  Retried.handle((_, attempt) => (attempt.number === 1 ? Effect.fail(new Refused()) : Effect.void)),
  Cancelled.handle((task) => Effect.sleep(task.workMs)),
  Doomed.handle(() => Effect.fail(new Refused()))
)

export const makeSoakLoad = (options: {
  readonly ratePerSecond: number
  readonly aheadSeconds: number
  readonly random: () => number
}) => {
  const { aheadSeconds, random, ratePerSecond } = options
  const counts = { tasks: 0, retried: 0, doomed: 0, cancelsTaken: 0, cancelsTooLate: 0 }
  /** Until some time after the last one ends by itself: cancellations meet tasks that wait, are claimed, run and have ended. */
  const cancelMsMax = (aheadSeconds + 1) * 1_000 + 2 * workMs.to

  const cancel = (id: string) =>
    Duetime.use((duetime) => duetime.cancel(id)).pipe(
      Effect.andThen(Effect.sync(() => counts.cancelsTaken++)),
      Effect.catchTag("InvalidTransition", () => Effect.sync(() => counts.cancelsTooLate++))
    )

  /** Schedules what is due in a second, at instants drawn for each. Cancellations come later, in fibers of the scope. */
  const schedule = Effect.fnUntraced(function* (second: number, fromMs: number) {
    const countOf = (share: number) =>
      Math.floor((second + 1) * ratePerSecond * share) - Math.floor(second * ratePerSecond * share)
    const at = () => Math.floor(fromMs + random() * 1_000)
    const drawnMs = () => Math.round(workMs.from + random() * (workMs.to - workMs.from))
    const priority = (): Priority | undefined => priorities[Math.floor(random() * priorities.length)]
    const empty = (count: number) => Array.from({ length: count }, (_, n) => ({ payload: { n }, at: at() }))
    const busy = (count: number) => Array.from({ length: count }, () => ({ payload: { workMs: drawnMs() }, at: at() }))

    const graded = empty(countOf(shares.graded)).map((entry) => ({ ...entry, priority: priority() }))
    const working = busy(countOf(shares.working))
    const retried = empty(countOf(shares.retried))
    const doomed = empty(countOf(shares.doomed))
    const toCancel = busy(countOf(shares.cancelled))
    const others = graded.length + working.length + retried.length + doomed.length + toCancel.length
    yield* Plain.scheduleMany(empty(ratePerSecond - others))
    yield* Graded.scheduleMany(graded)
    yield* Working.scheduleMany(working)
    yield* Retried.scheduleMany(retried)
    yield* Doomed.scheduleMany(doomed)
    for (const { id } of yield* Cancelled.scheduleMany(toCancel)) {
      yield* Effect.forkScoped(Effect.delay(cancel(id), random() * cancelMsMax))
    }
    counts.tasks += ratePerSecond
    counts.retried += retried.length
    counts.doomed += doomed.length
  })

  return { counts, schedule }
}
