/** What of an answer all stores have to agree about. */
import { Cause, Exit } from "effect"
import type { Answer } from "./Step.ts"

export type Shape = (value: unknown) => unknown

export const answerOf = (exit: Exit.Exit<unknown, unknown>, shape: Shape): Answer => {
  if (Exit.isSuccess(exit)) return { _tag: "Success", value: shape(exit.value) }
  const error: unknown = Cause.squash(exit.cause)
  if (isRecord(error) && typeof error["_tag"] === "string") return { _tag: "Failure", error: error["_tag"] }
  return { _tag: "Failure", error: Cause.pretty(exit.cause).split("\n").slice(0, 4).join(" ") }
}

export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)

const rowsOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])
const field = (row: unknown, name: string): unknown => (isRecord(row) ? row[name] : undefined)

/** A set: its order is the store's own. Which comes first is settled when the ids are known (Renaming.ts). */
export class Unordered {
  readonly rows: ReadonlyArray<unknown>

  constructor(rows: ReadonlyArray<unknown>) {
    this.rows = rows
  }
}

/** A database keeps the names of kinds that another history has used. */
const usedKinds = (value: unknown): ReadonlyArray<unknown> =>
  rowsOf(value).filter((row) => field(row, "known") === true || field(row, "isPaused") === true)

export const shapes = {
  same: (value: unknown) => value,
  byTask: (value: unknown) => new Unordered(rowsOf(value)),
  /** How long until a cap lets more through is an estimate. */
  claim: (value: unknown) => ({
    tasks: field(value, "tasks"),
    nextDueAtMs: field(value, "nextDueAtMs"),
    isCapped: field(value, "cappedForMs") !== null
  }),
  /** A session without a lease asks for nothing. */
  claimOfTheDead: (value: unknown) => ({ tasks: field(value, "tasks") }),
  /** When to ask again is a hint. */
  settled: (value: unknown) => ({
    recurrencesCount: field(value, "recurrencesCount"),
    tasksCount: field(value, "tasksCount")
  }),
  expiredTasks: (value: unknown) => new Unordered(rowsOf(field(value, "taskIds")).map((taskId) => ({ taskId }))),
  kinds: (value: unknown) => usedKinds(value),
  look: (value: unknown) => ({
    anyExpired: field(value, "anyExpired"),
    databaseMs: field(value, "databaseMs"),
    kinds: usedKinds(field(value, "kinds"))
  }),
  backlog: (value: unknown) =>
    rowsOf(value).filter((row) =>
      ["dueCount", "inProgressCount", "parkedCount", "deadCount"].some((name) => field(row, name) !== 0)
    )
} satisfies Record<string, Shape>
