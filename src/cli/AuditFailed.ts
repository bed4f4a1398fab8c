import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/** The audit found what must not be; the findings are on stdout. */
export class AuditFailed extends Schema.TaggedError<AuditFailed>("duetime/AuditFailed")("AuditFailed", {
  violationsCount: Schema.Int
}) {
  override readonly [Runtime.errorExitCode] = 1
  override get message(): string {
    const violations = `${this.violationsCount} violation${this.violationsCount === 1 ? "" : "s"}`
    return `AuditFailed: ${violations} of the promise. Keep the database as it is and open an issue with the output of "duetime audit --json".`
  }
}
