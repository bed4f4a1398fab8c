import { Data } from "effect"

/** What the worker itself lets an attempt fail with; kept in the history like a handler's own error, never thrown at a caller. */
export class PayloadUnfit extends Data.TaggedError("PayloadUnfit")<{
  readonly kind: string
  readonly problem: string
}> {
  override get message(): string {
    return `the stored payload does not fit the schema of kind "${this.kind}": ${this.problem}`
  }
}

export type HandlerPart = "handler" | "commit"

/** The handler, or what it gave to `attempt.commit`, is of another make than the method that it was given to expects. */
export class HandlerUnfit extends Data.TaggedError("HandlerUnfit")<{
  readonly kind: string
  readonly part: HandlerPart
  readonly problem: string
}> {
  override get message(): string {
    const part = this.part === "handler" ? "the handler" : "the body of attempt.commit in the handler"
    return `${part} of "${this.kind}" returned ${this.problem}`
  }
}

export class AttemptTimedOut extends Data.TaggedError("AttemptTimedOut")<{ readonly timeoutMs: number }> {
  override get message(): string {
    return `the attempt ran longer than its timeout of ${this.timeoutMs} ms and was interrupted`
  }
}

export class AttemptInterrupted extends Data.TaggedError("AttemptInterrupted") {
  override get message(): string {
    return "the handler interrupted itself"
  }
}
