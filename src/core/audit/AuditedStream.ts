import { evolve } from "../evolve.ts"
import type { KindPolicy } from "../KindPolicy.ts"
import type { AttemptError, DeadReason, TaskEvent } from "../TaskEvent.ts"
import type { TaskId } from "../TaskId.ts"
import type { TaskState } from "../TaskState.ts"

/** A whole stream with the projection rows found for it: what a store's `streams` returns. */
export type AuditedStream = {
  readonly taskId: TaskId
  readonly events: ReadonlyArray<TaskEvent>
  readonly projections: ReadonlyArray<AuditedProjection>
  /** Events of a type that this code does not know: they are missing in `events`. */
  readonly unknown?: ReadonlyArray<{ readonly version: number; readonly type: number }>
}

/** A projection row. What a store does not tell of it is not compared. */
export type AuditedProjection = Pick<
  TaskState,
  "stage" | "kind" | "priority" | "dueAtMs" | "version" | "attempt" | "charged"
> &
  Partial<Pick<TaskState, "deaths" | "fence" | "sessionId" | "deadlineAtMs" | "cancelRequested" | "followed">> & {
    /** Of a parked or dead row: since when it is. */
    readonly sinceMs?: number
    /** Of a dead row. */
    readonly death?: { readonly reason: DeadReason; readonly error: AttemptError }
  }

/** One event with the state it met and the state it left. */
export type Step = { readonly before: TaskState | null; readonly event: TaskEvent; readonly after: TaskState }

export type AuditOptions = {
  /**
   * The policy that held for a task of the kind born at that instant, all its life. Undefined if it has changed or nobody
   * knows: its limits and delays are then not checked.
   */
  readonly policyOf?: ((kind: string, bornAtMs: number) => KindPolicy | undefined) | undefined
  /** Handlers may have chosen their own delays: no failure is held against the policy's ceiling. Default false. */
  readonly ownDelays?: boolean | undefined
  /** How far the database's clock may have stepped back between two events of a stream, in ms. Default 0. */
  readonly clockStepMsMax?: number | undefined
}

/** What an invariant sees: the stream folded once, step by step. */
export type Walk = {
  readonly stream: AuditedStream
  readonly steps: ReadonlyArray<Step>
  readonly options: AuditOptions
}

/** Where a stream breaks an invariant, and how; version null when it is not about one event. */
export type Finding = { readonly version: number | null; readonly message: string }

/** The stream that is judged event by event, while it grows or after. */
export type Judged = {
  readonly taskId: TaskId
  readonly options: AuditOptions
  /** Instant of the first event, before any is judged. */
  readonly bornAtMs: number
}

/** Asked once for every event, in their order; keeps what it needs of those before. */
export type Judge = (step: Step) => ReadonlyArray<Finding>

export type Invariant = {
  /** Stable id; the S-numbers of the reliability study. */
  readonly id: string
  readonly sentence: string
  /** Anew for each stream. */
  readonly begin: (judged: Judged) => Judge
  /** What only the whole stream with its rows can show. */
  readonly atEnd?: (walk: Walk) => Iterable<Finding>
}

export const nothing: ReadonlyArray<Finding> = []

/** A store keeps instants to the microsecond; two readings of one instant may differ by as much. */
export const instantPrecisionMs = 0.001

export const walk = (stream: AuditedStream, options: AuditOptions): Walk => {
  const steps: Array<Step> = []
  let before: TaskState | null = null
  for (const event of stream.events) {
    const after: TaskState = evolve(before, event)
    steps.push({ before, event, after })
    before = after
  }
  return { stream, steps, options }
}
