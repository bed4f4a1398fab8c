import type { PgClient, PgTypes } from "@effect/sql-pg"
import { Effect } from "effect"
import { instant, int2s, int4, int4s } from "../src/store/postgres/parameters.ts"
import { claimSql, type DueTables } from "../src/store/postgres/statements.ts"
import { Session } from "../src/store/Session.ts"

/** What EXPLAIN ANALYZE tells of the very statement that the store claims with, each run in a transaction that is rolled back. */
export type ClaimQuestion = {
  /** Plans as this client's settings have it: the store's own (`ownClient`) differs from an application's. */
  readonly sql: PgClient.PgClient
  /** Every kind at every priority is a lane. */
  readonly kindIds: ReadonlyArray<number>
  readonly fromMs: number
  readonly horizonMs: number
  readonly limit: number
  readonly dueTablesOf: (fromMs: number, toMs: number) => DueTables
}
export type ClaimCost = {
  readonly claimed: number
  readonly buffers: number
  readonly medianMs: number
  readonly planningMs: number
}

const runs = 30
/** The first ones fill the caches and settle the plan. */
const coldRuns = 5
const ranks = [0, 1, 2, 3]
/** How far ahead a claim looks for the next due time. */
const farMs = 86_400_000

export const explainClaim = Effect.fnUntraced(function* (question: ClaimQuestion) {
  const session = yield* Session
  const { fromMs, horizonMs, kindIds, sql } = question
  const parameters = [
    int4s(kindIds.flatMap((kindId) => ranks.map(() => kindId))),
    int2s(kindIds.flatMap(() => ranks)),
    instant(fromMs),
    instant(horizonMs),
    int4(question.limit),
    int4(session.id()),
    instant(horizonMs + farMs)
  ]
  const statement = claimSql(question.dueTablesOf(fromMs, horizonMs))
  const plans: Array<Plan> = []
  for (let run = 0; run < runs; run++) plans.push(yield* explain(sql, statement, parameters))
  const warm = plans.slice(coldRuns)
  return {
    claimed: median(warm.map((plan) => plan.rows)),
    buffers: median(warm.map((plan) => plan.buffers)),
    medianMs: median(warm.map((plan) => plan.executionMs)),
    planningMs: median(warm.map((plan) => plan.planningMs))
  } satisfies ClaimCost
})

const explain = (sql: PgClient.PgClient, statement: string, parameters: ReadonlyArray<PgTypes.Parameter>) =>
  sql
    .withTransaction(
      sql.unsafe<Explained>(`EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) ${statement}`, parameters).pipe(
        Effect.map(planOf),
        Effect.flatMap((plan) => Effect.fail(new RolledBack(plan)))
      )
    )
    .pipe(
      Effect.catchIf(
        (error) => error instanceof RolledBack,
        (error) => Effect.succeed(error.plan)
      )
    )

type Plan = {
  readonly rows: number
  readonly buffers: number
  readonly executionMs: number
  readonly planningMs: number
}
type Explained = { readonly "QUERY PLAN": ReadonlyArray<Readonly<Record<string, unknown>>> }

class RolledBack {
  readonly plan: Plan
  constructor(plan: Plan) {
    this.plan = plan
  }
}

const planOf = (rows: ReadonlyArray<Explained>): Plan => {
  const explained = rows[0]?.["QUERY PLAN"][0] ?? {}
  const plan = explained["Plan"]
  const number = (value: unknown) => (typeof value === "number" ? value : 0)
  const root = typeof plan === "object" && plan !== null ? new Map(Object.entries(plan)) : new Map<string, unknown>()
  return {
    rows: number(root.get("Actual Rows")),
    buffers: number(root.get("Shared Hit Blocks")) + number(root.get("Shared Read Blocks")),
    executionMs: number(explained["Execution Time"]),
    planningMs: number(explained["Planning Time"])
  }
}

const median = (values: ReadonlyArray<number>): number =>
  values.toSorted((left, right) => left - right)[Math.floor(values.length / 2)] ?? 0
