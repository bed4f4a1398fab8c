/**
 * The shop's own tables, in a schema beside duetime's in the same database: 120,000 purchases to read, and the
 * reports made of them. `shop.report` has no unique key on purpose: that each report is there once is not its doing.
 */
import { Effect } from "effect"
import { SqlClient } from "effect/sql"

export const merchantsCount = 500
const monthsCount = 12
const purchasesCount = 120_000

/** The first month is January 2026. */
export const monthOf = (index: number): string =>
  `${2026 + Math.floor(index / 12)}-${String(1 + (index % 12)).padStart(2, "0")}`

/** Makes and fills the tables, if a run before this one has not. */
export const openShop = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  const [found] = yield* sql<{ readonly open: boolean }>`SELECT to_regclass('shop.report') IS NOT NULL AS open`
  if (found?.open === true) return
  yield* sql.withTransaction(
    Effect.gen(function* () {
      yield* sql`CREATE SCHEMA shop`
      yield* sql`CREATE TABLE shop.purchase (
        purchase_id bigint PRIMARY KEY, merchant_id int NOT NULL, month text NOT NULL, customer text NOT NULL,
        amount_cents int NOT NULL)`
      yield* sql`CREATE TABLE shop.report (
        task_id uuid NOT NULL, merchant_id int NOT NULL, month text NOT NULL, customers int NOT NULL,
        total_cents bigint NOT NULL, best_customer text)`
      // The numbers are arbitrary, and the same every time.
      yield* sql`INSERT INTO shop.purchase
        SELECT n, 1 + n % ${merchantsCount}::int, to_char(date '2026-01-01' + (n % ${monthsCount}::int) * interval '1 month', 'YYYY-MM'),
          'customer-' || (n * 7919) % 50, 100 + (n * 104729::bigint) % 20000
        FROM generate_series(1, ${purchasesCount}::int) AS n`
      yield* sql`CREATE INDEX ON shop.purchase (merchant_id, month)`
    })
  )
  yield* sql`ANALYZE shop.purchase`
})

export type ReportRow = {
  readonly taskId: string
  readonly merchantId: number
  readonly month: string
  /** The figures are those that the purchases add up to. */
  readonly right: boolean
}

/** Every row there is, compared with the purchases by other SQL than the one that made it. */
export const readReports = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* sql<ReportRow>`
    SELECT r.task_id::text AS "taskId", r.merchant_id AS "merchantId", r.month,
      r.customers = (SELECT count(DISTINCT customer) FROM shop.purchase p WHERE (p.merchant_id, p.month) = (r.merchant_id, r.month))
      AND r.total_cents = (SELECT coalesce(sum(amount_cents), 0) FROM shop.purchase p WHERE (p.merchant_id, p.month) = (r.merchant_id, r.month))
      AS "right"
    FROM shop.report r`
})
