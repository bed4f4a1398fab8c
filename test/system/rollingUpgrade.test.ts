/**
 * Goal: a new release is rolled out while the one before it goes on, and no task notices. Method: an earlier release out of this repository's
 * history runs as a process of its own, the tables are migrated under it, this release runs beside it and takes over; both schedule. The
 * auditor and the history tell what became of each task.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { eventCodes } from "../../src/core/TaskEvent.ts"
import { RoleProcess, until } from "../cli/roleProcess.ts"
import { runCli, runProcess } from "../cli/runCli.ts"
import { database, TestDatabase } from "../setup/database.ts"
import { earlierMigration, onEarlierRelease } from "../setup/earlierRelease.ts"

const module = "test/system/modules/greetMany.ts"
/** Tasks that schedule others, and how many: due one after the other, while both releases run. */
const asksCount = 6
const greetingsCount = 25

const { AttemptStarted, AttemptSucceeded, TaskScheduled } = eventCodes

onEarlierRelease("The release before this one", (earlierFolder) => {
  layer(database(), { excludeTestServices: true })("beside this one", (it) => {
    it.effect(
      "keeps running while the tables are migrated, shares the work, and hands all of it over: each task runs once",
      () =>
        Effect.gen(function* () {
          const sql = yield* PgClient.PgClient
          const folder = yield* earlierFolder
          fs.mkdirSync(path.join(folder, path.dirname(module)), { recursive: true })
          fs.copyFileSync(module, path.join(folder, module))
          const env = { DUETIME_DATABASE_URL: (yield* TestDatabase).url, DUETIME_UNSAFE_DURABILITY: "true" }
          const started = Effect.fnUntraced(function* (where: string, more: Readonly<Record<string, string>> = {}) {
            const running = yield* Effect.acquireRelease(
              Effect.sync(
                () =>
                  new RoleProcess(["run", "--tasks", module], { ...env, ...more }, { folder: where, sources: where })
              ),
              (process) => Effect.promise(() => (process.kill("SIGKILL"), process.ended))
            )
            yield* Effect.promise(() => running.logged(/run started/))
            return running
          })
          let asked = 0
          const ask = Effect.gen(function* () {
            yield* sql`SELECT s.task_id FROM generate_series(1, ${asksCount}::int4) AS n
              CROSS JOIN LATERAL duetime.schedule('ask', ${JSON.stringify({ count: greetingsCount })}::text::jsonb,
                key => format('%s: %s', ${asked}::int4, n)) s`
            asked += asksCount
          })
          const isQuiet = Effect.map(
            sql`SELECT FROM duetime.due UNION ALL SELECT FROM duetime.in_progress LIMIT 1`,
            (rows) => rows.length === 0
          )

          const earlier = yield* started(folder, { DUETIME_MIGRATE: "true" })
          yield* ask
          const tooEarly = yield* runCli(["run", "--tasks", module], env)
          assert.match(
            tooEarly.stderr,
            new RegExp(`SchemaOutdated: the database is at migration ${earlierMigration}, .*duetime migrate`)
          )
          assert.strictEqual(tooEarly.status, 3)

          const migrated = yield* runCli(["migrate"], env)
          assert.strictEqual(migrated.status, 0, migrated.stderr)
          const later = yield* started(".")
          // Until each has run what the other has scheduled.
          const hasRunOf = (runner: RoleProcess, scheduler: RoleProcess) =>
            Effect.map(
              sql`SELECT FROM duetime.event a JOIN duetime.session s USING (session_id)
                JOIN duetime.event b ON b.task_id = a.task_id AND b.type = ${TaskScheduled}::int2
                WHERE a.type = ${AttemptStarted}::int2 AND s.process LIKE ${`%:${runner.processId}`}
                  AND b.data ->> 'askedBy' = ${String(scheduler.processId)} LIMIT 1`,
              (rows) => rows.length > 0
            )
          yield* until(
            Effect.gen(function* () {
              yield* ask
              yield* until(isQuiet)
              return (yield* hasRunOf(later, earlier)) && (yield* hasRunOf(earlier, later))
            })
          )

          yield* ask
          earlier.kill("SIGTERM")
          assert.deepStrictEqual(yield* Effect.promise(() => earlier.ended), { status: 0, signal: null })
          yield* until(isQuiet)
          later.kill("SIGTERM")
          assert.deepStrictEqual(yield* Effect.promise(() => later.ended), { status: 0, signal: null })
          assert.notMatch(earlier.stderr + later.stderr, /level=(WARN|ERROR)/)

          const [counts] = yield* sql<Readonly<Record<"scheduled" | "started" | "succeeded" | "ran", number>>>`
            SELECT count(*) FILTER (WHERE type = ${TaskScheduled}::int2)::int4 AS scheduled,
              count(*) FILTER (WHERE type = ${AttemptStarted}::int2)::int4 AS started,
              count(*) FILTER (WHERE type = ${AttemptSucceeded}::int2)::int4 AS succeeded,
              count(DISTINCT task_id) FILTER (WHERE type = ${AttemptSucceeded}::int2)::int4 AS ran
            FROM duetime.event`
          const all = asked * (1 + greetingsCount)
          assert.deepStrictEqual(counts, { scheduled: all, started: all, succeeded: all, ran: all })
          const audited = yield* runCli(["audit", "--json"], env)
          assert.strictEqual(audited.status, 0, audited.stdout + audited.stderr)

          // That release did not know yet that tables which were only added to are still its own.
          const back = yield* runProcess(["tasks"], env, { folder })
          assert.match(back.stderr, new RegExp(`^SchemaNewer: .*this duetime knows ${earlierMigration}\\.`))
          assert.strictEqual(back.status, 6)
        }).pipe(Effect.scoped),
      90_000
    )
  })
})
