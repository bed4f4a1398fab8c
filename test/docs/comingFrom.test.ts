import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describe, it } from "vitest"
import { Recurrences } from "../../src/index.ts"
import * as promise from "../../src/promise/index.ts"
import { layerMemory, RetryPolicy, Schema, Task } from "../../src/promise/index.ts"
import { TestDuetime } from "../../src/testing/index.ts"
import { runCli } from "../cli/runCli.ts"
import { database, TestDatabase } from "../setup/database.ts"
import { blocksOf } from "./pageCode.ts"

const page = "docs/guide/coming-from.md"
const sent = Promise.withResolvers<number>()
const mailer = { send: async (order: number, _signal: AbortSignal) => sent.resolve(order) }
const report = async (_customer: string, _signal: AbortSignal) => {}

/** As the page says it, on a store in memory, and due at once. */
const connect = () => promise.connect({ layer: layerMemory })

const fromPgBoss = async () => {
  const SendReceipt = Task.define("send-receipt", {
    payload: { order: Schema.Int },
    retry: RetryPolicy.exponential({ base: "10 seconds", cap: "1 hour", attemptsMax: 6 })
  })

  await using duetime = await connect()
  const { id } =
    //
    await duetime.schedule(SendReceipt, { order: 7 }, { in: "1 hour", key: "order 7" })
  await duetime.runNow(id)
  const work = async () => {
    await duetime.handle(SendReceipt, async ({ order }, { signal }) => await mailer.send(order, signal)).work()
  }
  const working = work()
  assert.strictEqual(await sent.promise, 7)
  await duetime.close()
  await working
}

const fromBullMq = async (duetime: promise.Connection) => {
  const SendReceipt = Task.define("send-receipt", {
    payload: { order: Schema.Int },
    queue: "email",
    retry: RetryPolicy.exponential({ base: "1 second", cap: "10 minutes", attemptsMax: 5 })
  })

  await duetime.schedule(SendReceipt, { order: 7 }, { in: "1 hour", key: "order 7" })
  return async () => {
    await duetime
      .handle(SendReceipt, async ({ order }, { signal }) => await mailer.send(order, signal))
      .work({ concurrency: 50 })
  }
}

const Report = Task.define("report", { payload: { customer: Schema.String }, timeout: "30 minutes" })

const tasks = [
  Report.handleAsync(async ({ customer }, { signal }) => await report(customer, signal)),
  Report.recur("report-acme", {
    cron: "0 3 * * *",
    zone: "Europe/Berlin",
    overlap: "skip",
    payload: { customer: "acme" }
  })
] as const

describe(page, () => {
  it("shows a program that does what pg-boss's did, and one that does what BullMQ's did", async () => {
    await fromPgBoss()
    await using duetime = await connect()
    await fromBullMq(duetime)
    const { tasks } = await duetime.find({ stage: "pending" })
    assert.deepStrictEqual(
      tasks.map(({ kind }) => kind),
      ["send-receipt"]
    )
  })

  it("shows a recurrence that comes when the line of cron did", () =>
    Effect.runPromise(
      Recurrences.use((recurrences) => recurrences.get("report-acme")).pipe(
        Effect.map(({ nextAt }) => assert.strictEqual(berlinTime.format(nextAt ?? 0), "03:00")),
        Effect.provide(TestDuetime.layer(Layer.mergeAll(...tasks)))
      )
    ))
})

const berlinTime = new Intl.DateTimeFormat("en", {
  timeZone: "Europe/Berlin",
  hour: "2-digit",
  minute: "2-digit",
  hourCycle: "h23"
})

/** The columns that the export reads, as pg-boss 12.38 makes them. */
const pgBossTable = `CREATE SCHEMA pgboss;
  CREATE TABLE pgboss.job (id uuid DEFAULT gen_random_uuid(), name text NOT NULL, data jsonb, state text NOT NULL,
    start_after timestamptz NOT NULL);
  INSERT INTO pgboss.job (name, data, state, start_after) VALUES
    ('send-receipt', '{"order": 7}', 'created', '2031-01-01T10:00:00.250+01'),
    ('send-receipt', '{"order": 8}', 'retry', now() - interval '1 minute'),
    ('send-receipt', NULL, 'created', now()),
    ('send-receipt', '{"order": 9}', 'completed', now()), ('another', '{}', 'created', now())`

layer(database(), { excludeTestServices: true, timeout: 60_000 })(page, (it) => {
  it.effect("exports what is pending in pg-boss as lines that are imported once, with their due times", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      for (const statement of pgBossTable.split(";")) yield* sql.unsafe(statement)
      const [query = ""] = blocksOf(page, "sql")
      const rows = yield* sql.unsafe<{ readonly jsonb_build_object: unknown }>(query)
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-coming-from-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => fs.rmSync(folder, { recursive: true })))
      const file = path.join(folder, "pending.jsonl")
      fs.writeFileSync(file, rows.map((row) => JSON.stringify(row.jsonb_build_object)).join("\n"))

      const { url } = yield* TestDatabase
      const cli = (...args: ReadonlyArray<string>) =>
        runCli(args, { DUETIME_DATABASE_URL: url, DUETIME_UNSAFE_DURABILITY: "true" })
      yield* cli("migrate")
      const said: Array<string> = []
      for (const args of [["--dry-run"], [], []]) said.push((yield* cli("import", file, ...args)).stdout.trim())
      for (const line of said) assert.include(fs.readFileSync(page, "utf8"), `\n${line}\n`)
      const pending = (yield* cli("tasks", "--kind", "send-receipt", "--json")).stdout
      assert.include(pending, "2031-01-01T09:00:00.250Z")
    }).pipe(Effect.scoped)
  )
})
