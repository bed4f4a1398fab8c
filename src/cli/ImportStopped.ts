import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/** A line of the file cannot be scheduled; what stood before it is. */
export class ImportStopped extends Schema.TaggedError<ImportStopped>("duetime/ImportStopped")("ImportStopped", {
  file: Schema.String,
  line: Schema.Int,
  problem: Schema.String,
  wayOut: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 2
  override get message(): string {
    return `ImportStopped: ${this.file}, line ${this.line}: ${this.problem.replace(/\.?$/, ".")} ${this.wayOut}`
  }
}

/** Keys in the file belong to tasks with other payloads; the lines are on stdout. */
export class ImportConflicts extends Schema.TaggedError<ImportConflicts>("duetime/ImportConflicts")("ImportConflicts", {
  conflictsCount: Schema.Int
}) {
  override readonly [Runtime.errorExitCode] = 4
  override get message(): string {
    const keys = `${this.conflictsCount} line${this.conflictsCount === 1 ? " has a key that belongs" : "s have keys that belong"}`
    return `ImportConflicts: ${keys} to a task with another payload; all other lines are scheduled. Give those other keys, or the same payload.`
  }
}
