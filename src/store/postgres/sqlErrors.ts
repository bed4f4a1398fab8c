import { Cause, Data, Effect, Schedule } from "effect"
import type { SqlError } from "effect/sql/SqlError"
import { StoreUnavailable } from "../StoreError.ts"

/** Waits for one statement's locks; a frozen client with an open transaction must not stop everybody (55P03). */
export const lockTimeoutMs = 2_000
/** Pauses within a transaction: of a client that is frozen, since one that lives waits for nothing but the database (25P03). */
export const idleInTransactionTimeoutMs = 10_000
/** Runs of a statement that failed with a deadlock, serialization failure or lock timeout, where nothing was committed. */
const conflictTriesMax = 6
/** Characters of the driver's text that go into our error; its array parameters can be megabytes. */
const reasonLengthMax = 300

/**
 * Repeats what PostgreSQL rolled back by itself (40001, 40P01, 55P03), and turns the rest into `StoreUnavailable`. When
 * the connection broke, nobody can say whether the statement was committed.
 */
export const orUnavailable =
  (operation: string) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, Exclude<E, SqlError> | StoreUnavailable, R> =>
    effect.pipe(
      Effect.catchCause(withoutRollbackDefect),
      Effect.retry({
        while: (error) => isSqlError(error) && isConflict(error),
        schedule: conflictSchedule
      }),
      Effect.mapError((error) => (isSqlError(error) ? unavailable(operation, error) : notSqlError(error)))
    )

/** What the server has answered to SQL of the caller's, on its way through `orUnavailable`. */
export class Answered<E> extends Data.TaggedError("Answered")<{ readonly error: E }> {}

/** For what a caller runs among our statements: what the server says of it is the caller's, and not an outage of the store. */
export const answered = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | Answered<E>, R> =>
  Effect.mapError(effect, (error) =>
    isSqlError(error) && !isConflict(error) && !isOutage(error) ? new Answered({ error }) : error
  )

/**
 * When a connection breaks within a transaction, the driver's rollback fails too, and it dies of that: what is no more than
 * an outage would end the fiber that ran it.
 */
const withoutRollbackDefect = <E>(cause: Cause.Cause<E>): Effect.Effect<never, E | SqlError> => {
  const defects = cause.reasons.flatMap((reason) => (Cause.isDieReason(reason) ? [reason.defect] : []))
  const [first] = defects
  return isSqlError(first) && defects.every((defect) => isSqlError(defect) && isOutage(defect))
    ? Effect.fail(first)
    : Effect.failCause(cause)
}

const conflictSchedule = Schedule.exponential("5 millis").pipe(
  Schedule.jittered,
  Schedule.upTo({ times: conflictTriesMax - 1 })
)

export const isSqlError = (error: unknown): error is SqlError =>
  typeof error === "object" && error !== null && "_tag" in error && error._tag === "SqlError"

/** Type plumbing: a guard narrows a generic to the class but not away from it. */
// oxlint-disable-next-line typescript/consistent-type-assertions
const notSqlError = <E>(error: E): Exclude<E, SqlError> => error as Exclude<E, SqlError>

const isConflict = (error: SqlError): boolean =>
  error.reason._tag === "DeadlockError" ||
  error.reason._tag === "SerializationError" ||
  error.reason._tag === "LockTimeoutError"

/** SQLSTATE 42P01, known by the server's words: the driver's error keeps no code where it can be read with its type. */
export const isUndefinedTable = (error: SqlError): boolean => /relation ".*" does not exist/.test(textOf(error))

export const unavailable = (operation: string, error: SqlError): StoreUnavailable => {
  const wayOut = wayOutOf(error)
  return new StoreUnavailable({
    operation,
    commitUnknown: isOutage(error),
    reason: textOf(error).slice(0, reasonLengthMax),
    ...(wayOut === null ? {} : { wayOut }),
    cause: error
  })
}

/** Where to repeat the call would not help, or not soon; null: it is an outage. */
const wayOutOf = (error: SqlError): string | null => {
  if (isRefusedSetting(error))
    return "A pooler refuses our connections' settings: connect without it, or have it ignore them and the account have them, as docs/guide/deploying.md#connections says"
  if (sqlStateOf(error) === failedBefore)
    return "A statement before it in the same transaction has failed: let its error end the transaction, or run it in sql.withTransaction, which is a savepoint there"
  switch (error.reason._tag) {
    case "AuthenticationError":
      return "Check the user and the password in the database's address"
    case "AuthorizationError":
      return 'Give this account the role of what it does: "duetime roles" makes them, and docs/guide/deploying.md tells which'
    case "DeadlockError":
    case "SerializationError":
    case "LockTimeoutError":
      return "Another transaction holds what it needs: repeat the call, and look for one that stays open"
    case "StatementTimeoutError":
      return "It took longer than a statement may: repeat the call, and look what the server is busy with"
    default:
      return isOutage(error) ? null : 'The server would answer so again: "duetime doctor" looks for the cause'
  }
}

/** in_failed_sql_transaction: what failed was caught, and PostgreSQL takes nothing but a rollback. */
const failedBefore = "25P02"

/** A pooler's word, known by its text: it takes no connection that asks for a setting it does not know. */
const isRefusedSetting = (error: SqlError): boolean => /unsupported startup parameter/.test(textOf(error))

/**
 * The server could not answer, or nobody can say whether it did: the connection broke, or the server is stopping (57P01 to
 * 57P03), full (53), failing (58, XX), or has ended an idle transaction (25P03, 25P04). Any other answer is one: what was
 * asked has not been done, and would not be the next time.
 */
const isOutage = (error: SqlError): boolean => {
  if (isRefusedSetting(error)) return false
  if (error.reason._tag === "ConnectionError") return true
  if (error.reason._tag !== "UnknownError") return false
  const state = sqlStateOf(error)
  return state === undefined || /^(53|57|58|XX|25P0[34])/.test(state)
}

/** The five characters that the server gave its error; undefined for one that the driver made itself. */
const sqlStateOf = (error: SqlError): string | undefined => {
  const cause: unknown = error.reason.cause
  return typeof cause === "object" && cause !== null && "severity" in cause && "code" in cause
    ? String(cause.code)
    : undefined
}

/** The driver's own words, with the server's SQLSTATE text where there is one. */
export const textOf = (error: SqlError): string => {
  const cause: unknown = error.reason.cause
  const message = typeof cause === "object" && cause !== null && "message" in cause ? String(cause.message) : ""
  return `${error.reason._tag}${message === "" ? "" : `: ${message.split("\n")[0] ?? ""}`}`
}
