import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"

/** Something is wrong with the system; what, and how to mend it, is on stdout. */
export class DoctorFound extends Schema.TaggedError<DoctorFound>("duetime/DoctorFound")("DoctorFound", {
  problemsCount: Schema.Int
}) {
  override readonly [Runtime.errorExitCode] = 1
  override get message(): string {
    return `DoctorFound: ${this.problemsCount} problem${this.problemsCount === 1 ? "" : "s"}. Run what stands below each, from the top, and then "duetime doctor" again.`
  }
}
