import { Effect, Schema } from "effect"
import { RetryPolicy, Task } from "../../src/index.ts"

/**
 * What the load schedules and the workers handle. The payload says all that an attempt does, so that the same seed gives the same
 * tasks, whoever runs them. What the revision before has otherwise stands in kindsBefore.ts.
 */
export const payload = {
  /** How long the attempt takes. */
  workMs: Schema.Finite,
  /** So many attempts fail before one succeeds. */
  failures: Schema.Finite
}

/** More deaths than kills can give to one task: they hit tasks that are not to blame. */
export const deathsMax = 100
/** More attempts than kills can take from one task. */
export const persistent = RetryPolicy.exponential({ base: "100 millis", cap: "2 seconds", attemptsMax: 100 })
export const queue = "chaos"
const timeout = "4 seconds"

/** Writes a row in the transaction of its outcome. */
export const Commit = Task.define("chaos.commit", { payload, queue, timeout, retry: persistent, deathsMax })

/** Calls the outside, with the key and the fence. */
export const Call = Task.define("chaos.call", { payload, queue, timeout, retry: persistent, deathsMax })

/** As `Call`, and after an interruption a person has to look. */
export const CallOnce = Task.define("chaos.call-once", {
  payload,
  queue,
  timeout,
  retry: persistent,
  deathsMax,
  onInterrupted: "park"
})

/** What a task has that a client of the revision before has scheduled. */
export const noteDefault = "none"

/** Says in its result which note it was given. */
export const Plain = Task.define("chaos.plain", {
  payload: { ...payload, note: Schema.String.pipe(Schema.withDecodingDefaultKey(Effect.succeed(noteDefault))) },
  queue,
  timeout,
  retry: persistent,
  deathsMax
})

/** New in this revision. */
export const Fresh = Task.define("chaos.fresh", { payload, queue, timeout, retry: persistent, deathsMax })

/** Holds its worker's event loop all the time, beyond the lease. */
export const Block = Task.define("chaos.block", {
  payload,
  queue,
  timeout: "30 seconds",
  retry: persistent,
  deathsMax
})

/** How many attempts each revision gives to `Doomed`. */
export const doomedAttemptsMax = { present: 3, before: 5 } as const
export type Revision = keyof typeof doomedAttemptsMax

/** Fails until it is a dead letter. */
export const Doomed = Task.define("chaos.doomed", {
  payload,
  queue,
  timeout,
  deathsMax,
  retry: RetryPolicy.fixed({ delay: "300 millis", attemptsMax: doomedAttemptsMax.present })
})

export const kinds = [Commit, Call, CallOnce, Plain, Fresh, Block, Doomed] as const
export type Kind = (typeof kinds)[number]
