import { delayMsAfter } from "./RetryPolicy.ts"
import type { TaskCommand } from "./TaskCommand.ts"
import type { TaskState } from "./TaskState.ts"

/** When an attempt that ends so is followed by the next one, if it is; null of a command after which none can come. */
export const retryDueAtMs = (state: TaskState | null, command: TaskCommand): number | null => {
  switch (command._tag) {
    case "Fail":
      return Math.ceil(
        command.atMs + (command.retryInMs ?? delayMsAfter(command.policy.retry, state?.charged ?? 1, command.eventId))
      )
    case "Expire":
    case "Reconcile":
      return Math.ceil(command.atMs + delayMsAfter(command.policy.retry, state?.charged ?? 1, command.eventId))
    case "Snooze":
      return Math.ceil(command.atMs + command.inMs)
    case "Release":
      return Math.ceil(command.atMs)
    default:
      return null
  }
}
