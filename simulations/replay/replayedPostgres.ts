/**
 * A real PostgreSQL that a recorded history is replayed on: its clock stands where the simulated database's stood (as in
 * spec/controlledPostgres.ts), and it has the same sessions under the same numbers.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Layer, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import type { KindPolicy } from "../../src/core/KindPolicy.ts"
import { float8, int4, int4s, text, texts } from "../../src/store/postgres/parameters.ts"
import * as PgProjections from "../../src/store/postgres/PgProjections.ts"
import * as PgTaskStore from "../../src/store/postgres/PgTaskStore.ts"
import { Projections } from "../../src/store/Projections.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { leaseMsDefault } from "../../src/store/Session.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { epochMs } from "../../src/testing/simulation/Kernel.ts"
import { ControlledClock } from "../spec/ControlledClock.ts"
import { type Address, controlledSql } from "../spec/controlledPostgres.ts"
import type { Servers } from "./Step.ts"

export type ReplayedPostgres = Servers & {
  readonly projections: Projections["Service"]
  /** Nothing is in it, and its sequences begin anew. */
  readonly clear: Effect.Effect<void>
  /** From now on it is that time, for the database and for whoever asks it. */
  readonly setNow: (databaseMs: number) => Effect.Effect<void>
  /** Values of the sequence of sessions that a failover has skipped. */
  readonly skipSessions: (count: number) => Effect.Effect<void>
}

export const replayedPostgres = Effect.fnUntraced(function* (
  address: Address
): Effect.fn.Return<ReplayedPostgres, unknown, Scope.Scope> {
  const clock = new ControlledClock()
  const makeClient = PgClient.make({ ...address, maxConnections: 4, applicationName: "replay" }).pipe(
    Effect.provide(Reactivity.layer)
  )
  const client = yield* makeClient
  for (const statement of controlledSql(address.database)) yield* client.unsafe(statement)
  let databaseMs = Number.NaN
  const setNow = (atMs: number) =>
    Effect.suspend(() => {
      // Whole milliseconds: a claim looks ahead to the whole millisecond that its estimate of the time lies in (see `claim`).
      clock.nowMs = Math.floor(atMs) - belowWholeMs
      if (atMs === databaseMs) return Effect.succeed([])
      databaseMs = atMs
      // Microseconds, as PostgreSQL counts them: seconds with fractions would be rounded twice.
      return client.unsafe(
        `UPDATE controlled.instant SET at = 'epoch'::timestamptz + $1::float8 * interval '1 microsecond'`,
        [float8(Math.round(atMs * 1e3))]
      )
    }).pipe(Effect.orDie, Effect.asVoid)
  // The partitions that are made first are those of the days of all histories.
  yield* setNow(epochMs)
  const layer = PgProjections.layer.pipe(
    // First: it migrates.
    Layer.provideMerge(PgTaskStore.layerStore({ migrate: true, unsafeDurability: true })),
    Layer.provide(Layer.effect(PgClient.PgClient, makeClient))
  )
  const services = yield* Layer.build(Layer.fresh(layer)).pipe(Effect.provideService(Clock.Clock, clock))
  const store = yield* Effect.provide(TaskStore, services)
  const recurrences = yield* Effect.provide(RecurrenceStore, services)
  const projections = yield* Effect.provide(Projections, services)
  for (const statement of clearSql) yield* client.unsafe(statement)
  const inControlledTime = Effect.provideService(Clock.Clock, clock)

  const announce = Effect.fnUntraced(function* (policies: ReadonlyArray<KindPolicy>) {
    if (policies.length === 0) return []
    yield* client.unsafe(`INSERT INTO duetime.kind (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING`, [
      texts(policies.map(({ kind }) => kind))
    ])
    const ids: Array<number> = []
    for (const policy of policies) {
      const rows = yield* client.unsafe<{ readonly kind_id: number }>(
        `UPDATE duetime.kind SET policy = $2::text::jsonb, updated_at = clock_timestamp() WHERE name = $1::text RETURNING kind_id`,
        [text(policy.kind), text(JSON.stringify(policy))]
      )
      ids.push(...rows.map((row) => row.kind_id))
    }
    return ids
  })

  const servers: Servers = {
    // The port leaves open what a claim does with what is due within the millisecond of its horizon; the simulation leaves it.
    store: {
      ...store,
      claim: (request) => {
        const horizonMs = Math.floor(databaseMs + request.lookAheadMs)
        return store.claim({ ...request, lookAheadMs: horizonMs - Math.floor(databaseMs) })
      }
    },
    recurrences,
    openSession: (policies) =>
      Effect.gen(function* () {
        const ids = yield* announce(policies)
        const [row] = yield* client.unsafe<{ readonly session_id: number }>(
          `INSERT INTO duetime.session (lease_until, process, kind_ids) VALUES (${lease}, 'replay', $2::int4[]) RETURNING session_id`,
          [float8(leaseMsDefault), int4s(ids)]
        )
        return row?.session_id ?? 0
      }).pipe(Effect.orDie),
    renew: (sessionId) =>
      client
        .unsafe(
          `UPDATE duetime.session SET lease_until = ${lease} WHERE session_id = $2::int4 AND ended_at IS NULL RETURNING session_id`,
          [float8(leaseMsDefault), int4(sessionId)]
        )
        .pipe(
          Effect.map((rows) => rows.length === 1),
          Effect.orDie
        ),
    serve: (sessionId, policies) =>
      Effect.gen(function* () {
        const ids = yield* announce(policies)
        yield* client.unsafe(`UPDATE duetime.session SET kind_ids = $2::int4[] WHERE session_id = $1::int4`, [
          int4(sessionId),
          int4s(ids)
        ])
      }).pipe(Effect.orDie)
  }
  return {
    ...servers,
    projections,
    setNow,
    clear: Effect.orDie(client.unsafe(`SELECT controlled.clear_history()`)).pipe(Effect.asVoid, inControlledTime),
    skipSessions: (count) =>
      Effect.orDie(
        client.unsafe(
          `SELECT nextval(pg_get_serial_sequence('duetime.session', 'session_id')) FROM generate_series(1, $1::int4)`,
          [int4(count)]
        )
      ).pipe(Effect.asVoid)
  }
})

/** A claim rounds its horizon up; from so far below a whole millisecond it is that one, whatever floating point has made of it. */
const belowWholeMs = 0.4

const lease = `clock_timestamp() + $1::float8 * interval '1 millisecond'`

const tables =
  "event due in_progress parked dead_letter edited expiring key pace paused_queue session recurrence recurrence_revision occurrence"

const clearSql: ReadonlyArray<string> = [
  `CREATE FUNCTION controlled.clear_history() RETURNS void LANGUAGE plpgsql AS $$
   BEGIN
     TRUNCATE ${tables
       .split(" ")
       .map((table) => `duetime.${table}`)
       .join(", ")} RESTART IDENTITY;
     UPDATE duetime.kind SET paused_at = NULL, policy = NULL;
   END $$`
]
