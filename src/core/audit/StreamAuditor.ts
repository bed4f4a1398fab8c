import { evolve } from "../evolve.ts"
import type { TaskEvent } from "../TaskEvent.ts"
import type { TaskId } from "../TaskId.ts"
import type { TaskState } from "../TaskState.ts"
import { attemptInvariants } from "./attemptInvariants.ts"
import type { AuditOptions, Invariant, Judge } from "./AuditedStream.ts"
import { streamInvariants } from "./streamInvariants.ts"

export type Violation = {
  /** Stable id, as `S4`. */
  readonly invariant: string
  readonly taskId: TaskId
  /** Version of the event that shows it; null when it is not about one event. */
  readonly version: number | null
  readonly message: string
}

/** Those that look at the events alone. */
export const eventInvariants: ReadonlyArray<Invariant> = [...streamInvariants, ...attemptInvariants]

/** Audits one stream while it grows, event by event, by the same judges as a whole one: says at each append what it breaks. */
export class StreamAuditor {
  /** The fold of the events so far; null before the first. */
  state: TaskState | null = null
  readonly #taskId: TaskId
  readonly #options: AuditOptions
  #judges: ReadonlyArray<{ readonly id: string; readonly judge: Judge }> = []

  constructor(taskId: TaskId, options: AuditOptions = {}) {
    this.#taskId = taskId
    this.#options = options
  }

  append(event: TaskEvent): ReadonlyArray<Violation> {
    if (this.#judges.length === 0) {
      const judged = { taskId: this.#taskId, options: this.#options, bornAtMs: event.atMs }
      this.#judges = eventInvariants.map(({ begin, id }) => ({ id, judge: begin(judged) }))
    }
    const before = this.state
    const after = evolve(before, event)
    this.state = after
    const step = { before, event, after }
    const violations: Array<Violation> = []
    for (const { id, judge } of this.#judges) {
      for (const finding of judge(step)) violations.push({ invariant: id, taskId: this.#taskId, ...finding })
    }
    return violations
  }
}
