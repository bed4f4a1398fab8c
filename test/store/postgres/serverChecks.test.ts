import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Clock, Effect, Layer, Logger } from "effect"
import * as fs from "node:fs"
import { make as makeClock, offsetMsMax } from "../../../src/store/postgres/DatabaseClock.ts"
import * as Migrations from "../../../src/store/postgres/Migrations.ts"
import * as PgTaskStore from "../../../src/store/postgres/PgTaskStore.ts"
import { serverMajorMin, tooOldOf } from "../../../src/store/postgres/serverChecks.ts"
import { database, TestDatabase } from "../../setup/database.ts"
import { runCli } from "../../cli/runCli.ts"

const starting = (options: PgTaskStore.PgStoreOptions) =>
  Effect.flip(Effect.scoped(Layer.build(PgTaskStore.layerStore(options))))

describe("the oldest server", () => {
  it("is the one that the configuration page promises", () => {
    assert.include(fs.readFileSync("docs/reference/config.md", "utf8"), `PostgreSQL ${serverMajorMin} or newer`)
  })

  it("is told by its major version", () => {
    assert.strictEqual(tooOldOf(150_000, "15.0"), null)
    assert.strictEqual(tooOldOf(180_004, "18.4"), null)
    assert.propertyVal(tooOldOf(149_999, "14.99"), "_tag", "ServerTooOld")
    assert.propertyVal(tooOldOf(90_624, "9.6.24"), "found", "9.6.24")
  })
})

layer(database(), { excludeTestServices: true })("a store does not start", (it) => {
  it.effect("on a server that is too old, and changes nothing there", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const { database: name, url } = yield* TestDatabase
      // What the server says of itself cannot be set, but a function of the same name can be found before its own.
      yield* sql`CREATE SCHEMA old`
      yield* sql`CREATE FUNCTION old.current_setting(text) RETURNS text LANGUAGE sql
        RETURN CASE $1 WHEN 'server_version_num' THEN '130004' ELSE '13.4' END`
      yield* sql.unsafe(`ALTER DATABASE ${name} SET search_path = old, public, pg_catalog`)
      const { status, stderr } = yield* runCli(["migrate"], { DUETIME_DATABASE_URL: url })
      assert.strictEqual(status, 3)
      assert.match(stderr, /^ServerTooOld: the server is PostgreSQL 13\.4, duetime needs 15 or newer\./)
      assert.deepStrictEqual(yield* sql`SELECT to_regnamespace('duetime')::text AS schema`, [{ schema: null }])
      yield* sql.unsafe(`ALTER DATABASE ${name} RESET search_path`)
    })
  )

  it.effect("on tables that are older or newer than it knows", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      assert.propertyVal(yield* starting({ unsafeDurability: true }), "_tag", "SchemaOutdated")
      yield* Migrations.migrate
      yield* sql`INSERT INTO duetime.migration (migration_id, name) VALUES (9998, 'add_to_the_future'), (9999, 'contract_the_past')`
      assert.deepInclude(yield* starting({ unsafeDurability: true }), {
        _tag: "SchemaNewer",
        found: 9999,
        contraction: "9999_contract_the_past"
      })
      assert.propertyVal(yield* starting({ unsafeDurability: true, migrate: true }), "_tag", "SchemaNewer")
      yield* sql`DELETE FROM duetime.migration WHERE migration_id = 9999`
      // What was only added to is for older code what it was: a release can be rolled back.
      yield* Effect.scoped(Layer.build(PgTaskStore.layerStore({ unsafeDurability: true })))
      yield* Effect.scoped(Layer.build(PgTaskStore.layerStore({ migrate: true, unsafeDurability: true })))
      yield* sql`DELETE FROM duetime.migration WHERE migration_id = 9998`
    })
  )

  it.effect("on a server that may lose what it has acknowledged, unless told to", () =>
    Effect.gen(function* () {
      const refused = yield* starting({ migrate: true })
      assert.deepInclude(refused, { _tag: "UnsafeDurability", setting: "fsync", value: "off" })
      yield* Effect.scoped(Layer.build(PgTaskStore.layerStore({ migrate: true, unsafeDurability: true })))
    })
  )
})

layer(database(), { excludeTestServices: true })("a node whose clock is wrong", (it) => {
  const warningsAt = Effect.fnUntraced(function* (aheadMs: number) {
    const warnings: Array<string> = []
    const logger = Logger.make(({ message }) => void warnings.push(String(message)))
    const sql = yield* PgClient.PgClient
    const clock = yield* Clock.Clock
    const wrong: Clock.Clock = Object.assign(Object.create(clock), {
      currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(aheadMs) * 1_000_000n
    })
    const database = yield* makeClock(sql).pipe(
      Effect.provideService(Clock.Clock, wrong),
      Effect.provide(Logger.layer([logger]))
    )
    assert.approximately(database.offsetMs(), -aheadMs, offsetMsMax)
    return warnings
  })

  it.effect("knows the database's time as before when it is set, to and fro", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const clock = yield* Clock.Clock
      let aheadMs = 0
      const set: Clock.Clock = Object.assign(Object.create(clock), {
        currentTimeNanosUnsafe: () => clock.currentTimeNanosUnsafe() + BigInt(aheadMs) * 1_000_000n
      })
      const database = yield* makeClock(sql).pipe(Effect.provideService(Clock.Clock, set))
      const offsetMs = database.offsetMs()
      for (aheadMs of [86_400_000, -86_400_000, 0]) {
        assert.approximately(database.nowMs(), Number(clock.currentTimeNanosUnsafe()) / 1e6 + offsetMs, 100)
        assert.approximately(database.offsetMs(), offsetMs - aheadMs, 100)
      }
    })
  )

  it.effect("is told so above a limit, with how far and which way, and works on by the database's", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* warningsAt(0), [])
      const [ahead] = yield* warningsAt(7_200_000)
      assert.match(ahead ?? "", /^this node's clock is 7200\.0 s ahead of the database's, which decides what is due\./)
      const [behind] = yield* warningsAt(-60_000)
      assert.match(behind ?? "", /^this node's clock is 60\.0 s behind the database's/)
    })
  )
})
