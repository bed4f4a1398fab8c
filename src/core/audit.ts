import { AcrossStreams } from "./audit/AcrossStreams.ts"
import { eventInvariants, type Violation } from "./audit/StreamAuditor.ts"
import { walk, type AuditedStream, type AuditOptions, type Invariant } from "./audit/AuditedStream.ts"
import { LinkedStreams } from "./audit/followInvariant.ts"
import { projectionInvariants, strayReasonOf, type AuditedRow } from "./audit/projectionInvariants.ts"
import type { TaskId } from "./TaskId.ts"

/**
 * The auditor: reads whole streams with their projection rows and says where they break what duetime promises. It
 * folds with `evolve` and knows the machine's table, but shares nothing with `decide` or the SQL that wrote the
 * events. The same auditor runs after every test of a store, in simulations, and over a real database.
 */
export const invariants: ReadonlyArray<Invariant> = [...eventInvariants, ...projectionInvariants]

/** Audits all streams together, also for what only all of them show. Keeps every event id in memory. */
export const audit = (streams: Iterable<AuditedStream>, options: AuditOptions = {}): ReadonlyArray<Violation> => {
  const across = new AcrossStreams()
  const violations: Array<Violation> = []
  const linked = new LinkedStreams()
  for (const stream of streams) {
    linked.add(stream)
    violations.push(...auditStream(stream, options))
    for (const finding of across.check(stream)) violations.push({ ...finding, version: null })
  }
  return [...violations, ...linked.audit()]
}

/** Audits one stream by itself, in memory bounded by its length: for databases of any size, page by page. */
export const auditStream = (stream: AuditedStream, options: AuditOptions = {}): ReadonlyArray<Violation> => {
  const walked = walk(stream, options)
  const violations: Array<Violation> = []
  const { taskId } = stream
  const judged = { taskId, options, bornAtMs: stream.events[0]?.atMs ?? Number.NEGATIVE_INFINITY }
  for (const { atEnd, begin, id } of invariants) {
    const judge = begin(judged)
    for (const step of walked.steps) {
      for (const finding of judge(step)) violations.push({ invariant: id, taskId, ...finding })
    }
    if (atEnd === undefined) continue
    for (const finding of atEnd(walked)) violations.push({ invariant: id, taskId, ...finding })
  }
  return violations
}

/** Audits one projection row by itself: what no walk along the streams can meet. */
export const auditRow = (row: AuditedRow): ReadonlyArray<Violation> => {
  const message = strayReasonOf(row)
  return message === null ? [] : [{ invariant: "S10", taskId: row.taskId, version: null, message }]
}

/** Audits streams that may have an event id or a key in common; keeps all of it in memory. */
export const auditAcross = (streams: Iterable<AuditedStream>): ReadonlyArray<Violation> => {
  const across = new AcrossStreams()
  return [...streams].flatMap((stream) => across.check(stream).map((finding) => ({ ...finding, version: null })))
}

/** A live task that does not hold its key, or a key held by a task without events. */
export const auditKey = ({
  holderId,
  key,
  kind,
  taskId
}: {
  readonly taskId: TaskId
  readonly kind: string
  readonly key: string
  readonly holderId: TaskId | null
}): Violation => {
  const held =
    holderId === taskId
      ? "is held by this task, which has no events"
      : `was scheduled with this task and is held by ${holderId ?? "none"}`
  return { invariant: "S15", taskId, version: null, message: `the key ${key} of ${kind} ${held}` }
}

/** Counts what `auditStream` has found so far: the figures of an audit that runs over pages. */
export class AuditTally {
  streamsCount = 0
  eventsCount = 0
  readonly violationsByInvariant = new Map<string, number>()
  readonly #options: AuditOptions

  constructor(options: AuditOptions = {}) {
    this.#options = options
  }

  check(stream: AuditedStream): ReadonlyArray<Violation> {
    this.streamsCount++
    this.eventsCount += stream.events.length
    const violations = auditStream(stream, this.#options)
    this.add(violations)
    return violations
  }

  /** Violations found in another way. */
  add(violations: ReadonlyArray<Violation>): void {
    for (const { invariant } of violations) {
      this.violationsByInvariant.set(invariant, (this.violationsByInvariant.get(invariant) ?? 0) + 1)
    }
  }

  get violationsCount(): number {
    let count = 0
    for (const found of this.violationsByInvariant.values()) count += found
    return count
  }
}

export type { AuditedProjection, AuditedStream, AuditOptions, Invariant } from "./audit/AuditedStream.ts"
export { StreamAuditor, type Violation } from "./audit/StreamAuditor.ts"
export { auditFollowUps, linkedIdsOf, LinkedStreams } from "./audit/followInvariant.ts"
export { tableOf, type AuditedRow } from "./audit/projectionInvariants.ts"
