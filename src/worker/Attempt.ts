import { Cause, DateTime, Effect, Exit, type Tracer } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Json } from "../core/TaskEvent.ts"
import type { TaskId } from "../core/TaskId.ts"
import { traceparentOf } from "../core/traceparent.ts"
import type { LeaseLost, StoreUnavailable } from "../store/StoreError.ts"
import type { Started } from "../store/TaskStore.ts"
import type { CommitUnsupported } from "../DuetimeError.ts"
import { recordGraceMs } from "./Deadlines.ts"
import { effectOf, ranEffect } from "./Returned.ts"

/** What a handler knows about its attempt, whether it is an Effect or an async function. */
export interface AttemptFacts {
  readonly taskId: TaskId
  readonly kind: string
  /** Counted from 1; grows with every attempt, charged or not. */
  readonly number: number
  /** When the attempt should have started: jitter, retries and snoozes included. */
  readonly dueAt: Date
  /** When it started, by the database's clock. */
  readonly startedAt: Date
  /** When it will have run too long, by the database's clock. */
  readonly deadline: Date
  /** The same for all attempts of the task: give it to the outside, so that a repeated call counts once. */
  readonly idempotencyKey: string
  /** Greater with every attempt: a receiver that remembers the greatest one can refuse a late writer. */
  readonly fence: number
  /**
   * The attempt's span as W3C's trace context, for code that traces with something else than Effect; null: the worker has no
   * tracer. Spans of Effect are under it anyway.
   */
  readonly traceparent: string | null
}

/** The attempt as a handler that is an Effect gets it. */
export interface Attempt<in Result = unknown> extends AttemptFacts {
  /**
   * Runs SQL and records the success in one transaction: both or neither. What the body returns is the task's result;
   * what the handler does and returns afterwards is not recorded. Keep it short and last: it holds a transaction open.
   *
   * Fails with: `LeaseLost` if somebody else has the task by now (the transaction is rolled back), `StoreUnavailable`,
   * `CommitUnsupported` on a store without SQL, and whatever the body fails with.
   */
  readonly commit: <A extends Result, E, R>(
    body: (sql: SqlClient) => Effect.Effect<A, E, R>
  ) => Effect.Effect<A, E | CommitFailure, R>
}

/** The attempt as an async handler gets it. */
export interface AsyncAttempt<in Result = unknown> extends AttemptFacts {
  /** Aborted when the attempt runs past its timeout or the worker has to stop. */
  readonly signal: AbortSignal
  /** As `Attempt.commit`: `await attempt.commit(async (sql) => { await sql`...` })`. */
  readonly commit: <A extends Result>(body: (sql: AsyncSql) => Promise<A>) => Promise<A>
}

export type CommitFailure = LeaseLost | StoreUnavailable | CommitUnsupported

/** SQL inside the transaction of a commit, as a tagged template; every value in it is a bound parameter. */
export interface AsyncSql {
  <Row extends object = Record<string, unknown>>(
    text: TemplateStringsArray,
    ...values: ReadonlyArray<unknown>
  ): Promise<ReadonlyArray<Row>>
  /** The client itself, for its fragments: `sql`insert into t ${sql.client.insert(rows)}``. */
  readonly client: SqlClient
}

/** What the worker gives to the making of an attempt: the row that started it, and the right to commit it. */
export type AttemptGrant = {
  readonly started: Started
  /** Of what the handler traces; null: nobody traces. */
  readonly parentSpan: Tracer.AnySpan | null
  readonly commit: <A, E, R>(
    body: (sql: SqlClient) => Effect.Effect<A, E, R>,
    resultOf: (value: A) => Json
  ) => Effect.Effect<A, E | CommitFailure, R>
}

export const makeAttempt = <Result>(grant: AttemptGrant, resultOf: (value: Result) => Json): Attempt<Result> =>
  new StartedAttempt(grant, resultOf)

/** Dates are made when asked for: most handlers never look at them. */
class StartedAttempt<in Result> implements Attempt<Result> {
  readonly #started: Started
  readonly #span: Tracer.AnySpan | null
  readonly commit: Attempt<Result>["commit"]

  constructor(grant: AttemptGrant, resultOf: (value: Result) => Json) {
    this.#started = grant.started
    this.#span = grant.parentSpan
    const { kind } = grant.started
    this.commit = (body) => grant.commit((sql) => effectOf(kind, body(sql), "commit"), resultOf)
  }
  get taskId(): TaskId {
    return this.#started.taskId
  }
  get kind(): string {
    return this.#started.kind
  }
  get number(): number {
    return this.#started.attempt
  }
  get dueAt(): Date {
    return dateAt(this.#started.dueAtMs)
  }
  get startedAt(): Date {
    return dateAt(this.#started.startedAtMs)
  }
  get deadline(): Date {
    return dateAt(this.#started.deadlineAtMs - recordGraceMs)
  }
  get idempotencyKey(): string {
    return this.#started.taskId
  }
  get fence(): number {
    return this.#started.fence.version
  }
  get traceparent(): string | null {
    return this.#span === null ? null : traceparentOf(this.#span)
  }
}

/**
 * An async function as an Effect. Interrupting it aborts the signal and then waits for the promise: an effect that
 * ended while the function still runs would hide from the worker that it is stuck.
 */
export const untilSettled = <A>(run: (signal: AbortSignal) => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.callback<A, unknown>((resume) => {
    const aborter = new AbortController()
    // Inside a promise chain, so that a function that throws at once is caught like one that rejects.
    const settled = Promise.resolve(aborter.signal)
      .then(run)
      .then(
        (result) => resume(Effect.succeed(result)),
        (error: unknown) => resume(Effect.fail(error))
      )
    return Effect.promise(() => {
      aborter.abort(Cause.squash(Cause.interrupt()))
      return settled
    })
  })

export const performAsync = <Result>(
  attempt: Attempt<Result>,
  handler: (attempt: AsyncAttempt<Result>) => Promise<Result>
): Effect.Effect<Result, unknown> =>
  Effect.contextWith((context) => {
    const runPromise = Effect.runPromiseExitWith(context)
    const settled = untilSettled((signal) =>
      handler({
        ...factsOf(attempt),
        signal,
        commit: async (body) => {
          const exit = await runPromise(
            attempt.commit((sql) => ranEffect(attempt.kind, inTransaction(sql, body), "commit")),
            { signal }
          )
          if (Exit.isSuccess(exit)) return exit.value
          throw Cause.squash(exit.cause)
        }
      })
    )
    return ranEffect(attempt.kind, settled)
  })

const inTransaction = <A>(sql: SqlClient, body: (sql: AsyncSql) => Promise<A>): Effect.Effect<A, unknown> =>
  Effect.contextWith((context) => {
    const runPromise = Effect.runPromiseWith(context)
    let isOpen = true
    const asyncSql = Object.assign(
      async <Row extends object>(text: TemplateStringsArray, ...values: ReadonlyArray<unknown>) => {
        if (!isOpen) throw new Error("the transaction of attempt.commit has ended: await every query inside its body")
        return await runPromise(sql<Row>(text, ...values))
      },
      { client: sql }
    )
    return Effect.tryPromise({ try: async () => body(asyncSql), catch: (error) => error }).pipe(
      Effect.ensuring(
        Effect.sync(() => {
          isOpen = false
        })
      )
    )
  })

const factsOf = ({
  taskId,
  kind,
  number,
  dueAt,
  startedAt,
  deadline,
  idempotencyKey,
  fence,
  traceparent
}: AttemptFacts) => ({
  taskId,
  kind,
  number,
  dueAt,
  startedAt,
  deadline,
  idempotencyKey,
  fence,
  traceparent
})

export const dateAt = (atMs: number): Date => DateTime.toDateUtc(DateTime.makeUnsafe(atMs))
