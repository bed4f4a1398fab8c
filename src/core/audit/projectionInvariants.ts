import { fold } from "../evolve.ts"
import type { TaskEvent } from "../TaskEvent.ts"
import type { Stage, TaskState } from "../TaskState.ts"
import {
  instantPrecisionMs,
  type AuditedProjection,
  type Finding,
  type Invariant,
  nothing,
  type Walk
} from "./AuditedStream.ts"

/** A task that is over has no row but a dead letter's; any other has exactly one, equal to the fold of its events. */
function* projectionEqualsFold({ steps, stream }: Walk): Iterable<Finding> {
  const last = steps.at(-1)
  if (last === undefined) return
  const { version } = last.after
  const countExpected = tableOf[last.after.stage] === null ? 0 : 1
  if (stream.projections.length !== countExpected) {
    const found = stream.projections.map((row) => `${row.stage} v${row.version}`).join(", ")
    yield { version, message: `${stream.projections.length} rows (${found}) of a task that is ${last.after.stage}` }
  }
  const expected = countExpected === 0 ? [] : cellsOf(last.after, last.event)
  for (const row of expected.length === 0 ? [] : stream.projections) {
    for (const [name, value] of expected) {
      const found = row[name]
      if (found !== undefined && !isSame(found, value)) {
        yield { version, message: `${name} is ${shown(found)} in the row and ${shown(value)} in the events` }
      }
    }
  }
}

export const projectionInvariants: ReadonlyArray<Invariant> = [
  {
    id: "S10",
    sentence: "The projection is the fold of the events.",
    begin: () => () => nothing,
    atEnd: projectionEqualsFold
  }
]

/** Where the row of a task at this stage is. */
export const tableOf = {
  pending: "due",
  claimed: "in_progress",
  running: "in_progress",
  parked: "parked",
  dead: "dead_letter",
  succeeded: null,
  cancelled: null,
  expired: null
} as const satisfies Record<Stage, string | null>

/** A row by itself, with all events of the task that it says it is of. */
export type AuditedRow = {
  readonly taskId: string
  readonly projection: AuditedProjection
  readonly events: ReadonlyArray<TaskEvent>
}

/**
 * Why the row is at a place where no look-up by its task's events would find it; null if it is not. Only a row of `due` can
 * be, which is placed by kind, priority and due time, or one without any events; all others are found and compared with their stream.
 */
export const strayReasonOf = ({ events, projection }: AuditedRow): string | null => {
  const state = fold(events)
  if (state === null) return `a row that is ${projection.stage} of a task without events`
  if (projection.stage !== "pending") return null
  if (state.stage !== "pending") return `a row that is pending of a task that is ${state.stage}`
  const moved = places.find((name) => projection[name] !== state[name])
  return moved === undefined
    ? null
    : `a pending row at ${moved} ${projection[moved]}, in the events it is ${state[moved]}`
}

const places = ["kind", "priority", "dueAtMs"] as const

type Cell = readonly [name: keyof AuditedProjection, value: unknown]

/** What the row should say, but for what only some stores tell. */
const cellsOf = (state: TaskState, last: TaskEvent): ReadonlyArray<Cell> => [
  ...fields.map((name): Cell => [name, state[name]]),
  ["sinceMs", last.atMs],
  ...(last._tag === "TaskDeadLettered" ? [["death", { reason: last.reason, error: last.error }] satisfies Cell] : [])
]

const fields = [
  "stage",
  "version",
  "kind",
  "priority",
  "dueAtMs",
  "attempt",
  "charged",
  "deaths",
  "fence",
  "sessionId",
  "deadlineAtMs",
  "cancelRequested",
  "followed"
] as const

const isSame = (found: unknown, expected: unknown): boolean =>
  typeof found === "number" && typeof expected === "number"
    ? Math.abs(found - expected) <= instantPrecisionMs
    : shown(found) === shown(expected)

const shown = (value: unknown): string => (typeof value === "object" ? JSON.stringify(value) : String(value))
