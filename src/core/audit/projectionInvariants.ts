import { instantPrecisionMs, type AuditedProjection, type Finding, type Invariant, type Walk } from "./AuditedStream.ts"

/** A task that is over has no row but a dead letter's; any other has exactly one, equal to the fold of its events. */
function* projectionEqualsFold({ steps, stream }: Walk): Iterable<Finding> {
  const state = steps.at(-1)?.after
  if (state === undefined) return
  const { version } = state
  const countExpected = state.stage === "succeeded" || state.stage === "cancelled" ? 0 : 1
  if (stream.projections.length !== countExpected) {
    const found = stream.projections.map((row) => `${row.stage} v${row.version}`).join(", ")
    yield { version, message: `${stream.projections.length} rows (${found}) of a task that is ${state.stage}` }
  }
  for (const row of countExpected === 0 ? [] : stream.projections) {
    for (const field of fields) {
      if (!isSame(field, row, state)) {
        yield { version, message: `${field} is ${row[field]} in the row and ${state[field]} in the events` }
      }
    }
  }
}

export const projectionInvariants: ReadonlyArray<Invariant> = [
  { id: "S10", sentence: "The projection is the fold of the events.", check: projectionEqualsFold }
]

const fields = ["stage", "version", "kind", "priority", "dueAtMs", "attempt", "charged"] as const

const isSame = (field: keyof AuditedProjection, row: AuditedProjection, state: AuditedProjection): boolean =>
  field === "dueAtMs" ? Math.abs(row.dueAtMs - state.dueAtMs) <= instantPrecisionMs : row[field] === state[field]
