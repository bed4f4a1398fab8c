import type { Priority } from "./Priority.ts"
import type { DeadReason } from "./TaskEvent.ts"
import type { TaskId } from "./TaskId.ts"

/** What the outside is told of a dead letter. No payload and no error message: both may hold what must not leave the database. */
export type DeadLetter = {
  readonly taskId: TaskId
  /** Of the event that made it a dead letter: with the task id it tells a repeated announcement from a second death. */
  readonly version: number
  readonly kind: string
  readonly priority: Priority
  readonly attempt: number
  readonly deadAtMs: number
  readonly reason: DeadReason
  readonly errorName: string
}
