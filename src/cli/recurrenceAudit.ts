import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { auditLedger, type AuditedRevision, type LedgerViolation } from "../core/recurrence/auditLedger.ts"
import { compiledOf } from "../core/recurrence/compiled.ts"
import { leadMsMax, occurrenceTaskId } from "../core/recurrence/occurrence.ts"
import { type LedgerLine, type Recurrence, recurrencePageMax, type RecurrenceStore } from "../store/RecurrenceStore.ts"
import type { TaskStore } from "../store/TaskStore.ts"

/** The audit found an instant without a fate, or with two; the findings are on stdout. */
export class RecurrenceAuditFailed extends Schema.TaggedError<RecurrenceAuditFailed>("duetime/RecurrenceAuditFailed")(
  "RecurrenceAuditFailed",
  { violationsCount: Schema.Int }
) {
  override readonly [Runtime.errorExitCode] = 1
  override get message(): string {
    return `RecurrenceAuditFailed: ${this.violationsCount} instants are missing, double or wrong. Keep the database as it is and open an issue with the output of "duetime recur audit --json".`
  }
}

export type LedgerFinding = {
  readonly law: LedgerViolation["law"] | "none under two revisions"
  readonly name: string
  readonly nominalAt: Date
  readonly detail: string
}

type Stores = {
  readonly recurrences: RecurrenceStore["Service"]
  readonly tasks: TaskStore["Service"]
}

/** Holds the ledger of each recurrence against the rules of its revisions, as far back as both are kept. */
export const recurrenceFindings = Effect.fnUntraced(function* (
  recurrences: RecurrenceStore["Service"],
  tasks: TaskStore["Service"],
  name: string | null
) {
  const findings: Array<LedgerFinding> = []
  let recurrencesCount = 0
  let instants = 0
  const audit = Effect.fnUntraced(function* (recurrence: Recurrence) {
    const found = yield* findingsOf({ recurrences, tasks }, recurrence)
    recurrencesCount++
    instants += found.lines
    findings.push(...found.findings)
  })
  if (name !== null) yield* audit(yield* recurrences.find(name))
  else {
    let after: string | null = null
    while (true) {
      const page: ReadonlyArray<Recurrence> = yield* recurrences.list(after, recurrencePageMax)
      for (const recurrence of page) yield* audit(recurrence)
      if (page.length < recurrencePageMax) break
      after = page.at(-1)?.name ?? null
    }
  }
  return { findings, instants, recurrences: recurrencesCount }
})

/** What changes while it is looked at (an edit, a decision) may be seen half: it is read again, so many times at most. */
const readsMax = 5

const findingsOf = Effect.fnUntraced(function* (stores: Stores, recurrence: Recurrence) {
  let found = yield* lookedAt(stores, recurrence)
  for (let read = 1; read < readsMax && found.findings.length > 0; read++) {
    const again = yield* Effect.option(stores.recurrences.find(recurrence.name))
    if (again._tag === "None" || again.value.recurrenceId !== recurrence.recurrenceId) return { findings: [], lines: 0 }
    found = yield* lookedAt(stores, again.value)
  }
  return found
})

const lookedAt = Effect.fnUntraced(function* ({ recurrences, tasks }: Stores, recurrence: Recurrence) {
  const { name, recurrenceId, settledUntilMs } = recurrence
  const fromMs = yield* recurrences.ledgerFromMs
  const revisions = (yield* recurrences.revisions(recurrenceId)).flatMap(({ rule, ...revision }) => {
    const compiled = compiledOf(rule)
    return Result.isFailure(compiled) ? [] : [{ ...revision, next: compiled.success.next }]
  })
  const lines: Array<LedgerLine> = []
  let afterMs = 0
  while (true) {
    const page: ReadonlyArray<LedgerLine> = yield* recurrences.ledger(recurrenceId, afterMs, recurrencePageMax)
    lines.push(...page)
    afterMs = page.at(-1)?.nominalAtMs ?? afterMs
    if (page.length < recurrencePageMax) break
  }
  const violations: ReadonlyArray<LedgerFinding> = auditLedger(revisions, lines, fromMs, settledUntilMs).map(
    ({ detail, law, nominalAtMs }) => ({ law, name, nominalAt: new Date(nominalAtMs), detail })
  )
  return { findings: [...violations, ...(yield* doubles(tasks, recurrence, revisions, lines))], lines: lines.length }
})

/** An instant that was decided ahead and taken over by an edit has a task of the old revision, too: cancelled before it began. */
const doubles = Effect.fnUntraced(function* (
  tasks: TaskStore["Service"],
  { name, recurrenceId }: Recurrence,
  revisions: ReadonlyArray<AuditedRevision>,
  lines: ReadonlyArray<LedgerLine>
) {
  const findings: Array<LedgerFinding> = []
  for (const line of lines) {
    if (line.fate !== "fired") continue
    for (const { fromMs, revision } of revisions) {
      const next = revisions.find((other) => other.revision === revision + 1)
      // Revisions that had ended before the instant, and not longer before it than it is decided ahead.
      if (revision >= line.revision || next === undefined || next.fromMs < line.nominalAtMs - leadMsMax) continue
      if (next.fromMs >= line.nominalAtMs || fromMs >= line.nominalAtMs) continue
      const taskId = occurrenceTaskId(recurrenceId, revision, line.nominalAtMs)
      const history = yield* tasks.history(taskId).pipe(Effect.catchTag("TaskNotFound", () => Effect.succeed([])))
      if (history.some(({ _tag }) => _tag === "AttemptStarted"))
        findings.push({
          law: "none under two revisions",
          name,
          nominalAt: new Date(line.nominalAtMs),
          detail: `task ${taskId} of revision ${revision} has started, and so may ${line.taskId} of revision ${line.revision}`
        })
    }
  }
  return findings
})
