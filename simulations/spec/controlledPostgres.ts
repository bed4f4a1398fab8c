/**
 * A real PostgreSQL whose `clock_timestamp()` stands where it is told to stand. Every statement of the store calls it without a schema,
 * so a function of that name in a schema that comes first in the search path is the one that is called: the store's text, plans and
 * locks are what they are, and only the time is ours.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Layer, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlError } from "effect/sql/SqlError"
import * as PgTaskStore from "../../src/store/postgres/PgTaskStore.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { ControlledClock } from "./ControlledClock.ts"
import { kinds } from "./rules.ts"
import { streamsOf, type Subject } from "./Subject.ts"

/** Where it is: one database of our own. */
export type Address = {
  readonly host: string
  readonly port: number
  readonly username: string
  readonly database: string
}

const clientTo = ({ host, port, ...address }: Address, maxConnections: number) =>
  PgClient.make({ host, port, ...address, maxConnections, applicationName: "differential" })

/**
 * @param direct where the server is
 * @param throughs where the stores are to find it: one store for each, by way of a gate, say
 */
export const postgresSubject = Effect.fnUntraced(function* (
  direct: Address,
  throughs: ReadonlyArray<Address>
): Effect.fn.Return<Subject, SqlError | { readonly _tag: string }, Scope.Scope> {
  const clock = new ControlledClock()
  const client = yield* clientTo(direct, 2).pipe(Effect.provide(reactivity))
  const exists = yield* client.unsafe(`SELECT 1 FROM pg_namespace WHERE nspname = 'controlled'`)
  if (exists.length === 0) for (const statement of controlledSql(direct.database)) yield* client.unsafe(statement)
  const [now] = yield* client.unsafe<{ readonly ms: number }>(
    `SELECT date_part('epoch', pg_catalog.clock_timestamp())::float8 * 1000 AS ms`
  )
  clock.nowMs = Math.floor(now?.ms ?? 0)
  const setNow = (nowMs: number) =>
    Effect.suspend(() => {
      clock.nowMs = nowMs
      return client.unsafe(`UPDATE controlled.instant SET at = to_timestamp($1::float8 / 1000.0)`, [nowMs])
    }).pipe(Effect.orDie, Effect.asVoid)
  yield* setNow(clock.nowMs)
  const stores: Array<TaskStore["Service"]> = []
  for (const through of throughs) {
    const layer = PgTaskStore.layerStore({ migrate: true, unsafeDurability: true }).pipe(
      Layer.provide(Layer.effect(PgClient.PgClient, clientTo(through, 3)).pipe(Layer.provide(reactivity)))
    )
    const services = yield* Layer.build(Layer.fresh(layer)).pipe(Effect.provideService(Clock.Clock, clock))
    stores.push(yield* Effect.provide(TaskStore, services))
  }
  const [first] = stores
  if (first === undefined) return yield* Effect.die(new Error("a subject has one store at least"))
  for (const { policy } of kinds)
    yield* client.unsafe(
      `INSERT INTO duetime.kind (name, policy) VALUES ($1::text, $2::text::jsonb) ON CONFLICT (name) DO NOTHING`,
      [policy.kind, JSON.stringify(policy)]
    )
  for (const statement of clearSql) yield* client.unsafe(statement)
  let begunCount = 0

  return {
    name: "PostgreSQL",
    begin: (nowMs, leasesMs) =>
      Effect.gen(function* () {
        yield* client.unsafe(
          begunCount++ % truncateEvery === 0 ? `SELECT controlled.truncate()` : `SELECT controlled.clear()`
        )
        yield* setNow(nowMs)
        const rows = yield* client.unsafe<{ readonly session_id: number }>(
          `INSERT INTO duetime.session (lease_until, process)
           SELECT to_timestamp(($1::float8 + ms) / 1000.0), 'differential' FROM unnest($2::text::float8[]) WITH ORDINALITY AS l (ms, place)
           ORDER BY place RETURNING session_id`,
          [nowMs, `{${leasesMs.join(",")}}`]
        )
        return rows.map((row) => row.session_id).toSorted((one, other) => one - other)
      }).pipe(Effect.orDie),
    setNow,
    kill: (id) =>
      Effect.orDie(
        client.unsafe(
          `UPDATE duetime.session SET lease_until = clock_timestamp() - interval '1 ms' WHERE session_id = $1::int4`,
          [id]
        )
      ).pipe(Effect.asVoid),
    leave: (id) =>
      Effect.orDie(
        client.unsafe(`UPDATE duetime.session SET ended_at = clock_timestamp() WHERE session_id = $1::int4`, [id])
      ).pipe(Effect.asVoid),
    streams: streamsOf(first),
    stores
  }
})

/** Sequences between two that leave nothing of the rows of those before: what is deleted still lies in the indexes. */
const truncateEvery = 100

export const controlledSql = (database: string): ReadonlyArray<string> => [
  `CREATE SCHEMA controlled`,
  `CREATE TABLE controlled.instant (at timestamptz NOT NULL)`,
  `INSERT INTO controlled.instant VALUES (pg_catalog.clock_timestamp())`,
  `CREATE FUNCTION controlled.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT at FROM controlled.instant'`,
  `ALTER DATABASE "${database}" SET search_path = controlled, pg_catalog, public`,
  // For the connection that has said so, too.
  `SET search_path = controlled, pg_catalog, public`
]

const tables = "event due in_progress parked dead_letter expiring key pace paused_queue session".split(" ")

/** The history is append-only for everybody; here it is another one's every time. */
const clearSql: ReadonlyArray<string> = [
  `CREATE OR REPLACE FUNCTION controlled.clear() RETURNS void LANGUAGE plpgsql SET session_replication_role = replica AS $$
   BEGIN
     ${tables.map((table) => `DELETE FROM duetime.${table};`).join("\n     ")}
     UPDATE duetime.kind SET paused_at = NULL WHERE paused_at IS NOT NULL;
   END $$`,
  `CREATE OR REPLACE FUNCTION controlled.truncate() RETURNS void LANGUAGE plpgsql AS $$
   BEGIN
     TRUNCATE ${tables.map((table) => `duetime.${table}`).join(", ")};
     UPDATE duetime.kind SET paused_at = NULL WHERE paused_at IS NOT NULL;
   END $$`
]

const reactivity = Reactivity.layer
