import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/** Rows are not what the events say; the differences are on stdout. */
export class ProjectionsDiffer extends Schema.TaggedError<ProjectionsDiffer>("duetime/ProjectionsDiffer")(
  "ProjectionsDiffer",
  { differencesCount: Schema.Int, replacedCount: Schema.Int, wayOut: Schema.String }
) {
  override readonly [Runtime.errorExitCode] = 1
  override get message(): string {
    const differences = `${this.differencesCount} difference${this.differencesCount === 1 ? "" : "s"}`
    return `ProjectionsDiffer: ${differences} between rows and events, ${this.replacedCount} replaced. ${this.wayOut}`
  }
}
