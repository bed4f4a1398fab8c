import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/** The task that was waited for has ended otherwise, or not at all; how is on stdout. */
export class NotSucceeded extends Schema.TaggedError<NotSucceeded>("duetime/NotSucceeded")("NotSucceeded", {
  taskId: Schema.String,
  end: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 1
  override get message(): string {
    return `NotSucceeded: task ${this.taskId} is ${this.end}. See "duetime task ${this.taskId}".`
  }
}
