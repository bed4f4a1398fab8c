import { Data } from "effect"

/** A rule, calendar or policy that makes no sense, or would never fire. */
export class RuleRejected extends Data.TaggedError("RuleRejected")<{
  /** Which part, as `expression.minute` or `zone`. */
  readonly field: string
  readonly value: string
  readonly problem: string
  readonly wayOut: string
}> {
  override get message(): string {
    return `RuleRejected: ${this.field} is ${JSON.stringify(this.value)}: ${this.problem}. ${this.wayOut}`
  }
}

/** Characters of a rejected value that are shown. */
const valueLengthMax = 80

export const rejected = (field: string, value: unknown, problem: string, wayOut: string): RuleRejected =>
  new RuleRejected({ field, value: String(value).slice(0, valueLengthMax), problem, wayOut })
