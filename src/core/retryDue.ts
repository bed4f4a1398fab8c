import { dueAtMsOf, openedMs } from "./calendar/Due.ts"
import { delayCeilingMs, delayMsAfter, type RetryPolicy } from "./RetryPolicy.ts"
import type { TaskCommand } from "./TaskCommand.ts"
import type { TaskState } from "./TaskState.ts"

/** When an attempt that ends so is followed by the next one, if it is; null of a command after which none can come. */
export const retryDueAtMs = (state: TaskState | null, command: TaskCommand): number | null => {
  switch (command._tag) {
    case "Fail":
      if (command.retryDue !== undefined)
        return Math.max(Math.ceil(command.atMs), dueAtMsOf(command.retryDue, command.atMs))
      if (command.retryInMs !== null) return Math.ceil(command.atMs + command.retryInMs)
      return byPolicy(command.policy.retry, state, command)
    case "Expire":
    case "Reconcile":
      return byPolicy(command.policy.retry, state, command)
    case "Snooze":
      return Math.ceil(command.atMs + command.inMs)
    case "Release":
      return Math.ceil(command.atMs)
    default:
      return null
  }
}

/** What full jitter has spread over closed time is spread anew behind the opening, or all of it would come in one millisecond. */
const byPolicy = (retry: RetryPolicy, state: TaskState | null, { atMs, eventId }: TaskCommand): number => {
  const delayMs = delayMsAfter(retry, state?.charged ?? 1, eventId)
  const dueAtMs = Math.ceil(atMs + delayMs)
  if (retry.calendar === undefined) return dueAtMs
  const openMs = openedMs(retry.calendar, dueAtMs)
  return openMs === dueAtMs || retry.jitter === "none" ? openMs : openedMs(retry.calendar, openMs + delayMs)
}

/** No delay of the policy, and no jitter, makes a retry later: what S12 checks a recorded one against. */
export const latestRetryMs = (retry: RetryPolicy, failedAtMs: number, charged: number): number => {
  const ceilingMs = delayCeilingMs(retry, charged)
  if (retry.calendar === undefined) return failedAtMs + ceilingMs
  const openMs = openedMs(retry.calendar, Math.ceil(failedAtMs + ceilingMs))
  return retry.jitter === "none" ? openMs : openedMs(retry.calendar, Math.ceil(openMs + ceilingMs))
}

/**
 * Whether it depends on the instant of the command, and not only on its span from there: then it cannot be decided at time zero
 * and left to the database to be counted from its own now.
 */
export const retryHangsOnInstant = (command: TaskCommand): boolean => {
  switch (command._tag) {
    case "Fail":
      return (
        command.retryDue !== undefined || (command.retryInMs === null && command.policy.retry.calendar !== undefined)
      )
    case "Expire":
      return command.policy.retry.calendar !== undefined
    default:
      return false
  }
}
