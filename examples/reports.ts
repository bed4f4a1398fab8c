import { Effect, Schema } from "effect"
import { SqlClient } from "effect/sql"
import { RetryPolicy, Task } from "../src/index.ts"

/** What a merchant sold in a month. */
export const BuildReport = Task.define("build-report", {
  payload: { merchantId: Schema.Int, month: Schema.String },
  queue: "reports",
  timeout: "1 minute",
  retry: RetryPolicy.listed({ delays: ["1 second", "10 seconds", "1 minute"] })
})

/**
 * Reads at leisure, then writes in one short transaction together with the completion of the task. A worker that
 * dies, or that has lost the task to another, leaves neither; so the table needs no key to hold each report once.
 */
export const reportService = BuildReport.handle(({ merchantId, month }, attempt) =>
  Effect.gen(function* () {
    const sql = yield* SqlClient.SqlClient
    const sales = yield* sql<{ readonly customer: string; readonly cents: number }>`
      SELECT customer, sum(amount_cents)::float8 AS cents FROM shop.purchase
      WHERE merchant_id = ${merchantId} AND month = ${month}
      GROUP BY customer ORDER BY cents DESC, customer`
    const report = {
      task_id: attempt.taskId,
      merchant_id: merchantId,
      month,
      customers: sales.length,
      total_cents: sales.reduce((total, { cents }) => total + cents, 0),
      best_customer: sales[0]?.customer ?? null
    }
    yield* attempt.commit((sql) => sql`INSERT INTO shop.report ${sql.insert(report)}`)
  })
)
