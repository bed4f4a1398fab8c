/**
 * A fresh, empty database for a test file, dropped when the layer's scope closes.
 *
 *   layer(database())("the event store", (it) => {
 *     it.effect("appends", () => Effect.gen(function* () { const sql = yield* PgClient.PgClient ... }))
 *   })
 *
 * `onEachServer` runs the same suite on PostgreSQL 18 from npm and on the machine's own version.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { randomUUID } from "node:crypto"
import { describe, inject } from "vitest"
import type { PostgresServer } from "./postgresServers.ts"

export type ServerKind = "embedded" | "system"

/** How a test reaches its database from outside the layer, for example from another process. */
export class TestDatabase extends Context.Service<
  TestDatabase,
  {
    readonly socketDirectory: string
    readonly port: number
    readonly username: string
    readonly database: string
    readonly url: string
    /** For example `postgres (PostgreSQL) 18.4`. */
    readonly serverVersion: string
  }
>()("duetime/test/TestDatabase") {}

export interface DatabaseOptions {
  readonly server?: ServerKind
  /** Of the pool. Default 10. */
  readonly connectionsMax?: number
}

/** Only the database, for tests that make their own clients. */
export const databaseOnly = (options: DatabaseOptions = {}): Layer.Layer<TestDatabase, SqlError.SqlError> =>
  Layer.effect(
    TestDatabase,
    Effect.gen(function* () {
      const server = running(serverOf(options.server ?? "embedded"))
      const address = { socketDirectory: server.socketDirectory, port: server.port, username: "postgres" }
      const database = `test_${randomUUID().replaceAll("-", "")}`
      yield* Effect.acquireRelease(administer(address, `CREATE DATABASE ${database}`), () =>
        Effect.orDie(administer(address, `DROP DATABASE ${database} WITH (FORCE)`))
      )
      return {
        ...address,
        database,
        url: `postgresql://postgres@localhost:${server.port}/${database}?host=${encodeURIComponent(server.socketDirectory)}`,
        serverVersion: server.version
      }
    })
  )

export const database = (
  options: DatabaseOptions = {}
): Layer.Layer<TestDatabase | PgClient.PgClient | SqlClient.SqlClient, SqlError.SqlError> =>
  Layer.unwrap(
    Effect.map(TestDatabase, (address) => client({ ...address, connectionsMax: options.connectionsMax ?? 10 }))
  ).pipe(Layer.provideMerge(databaseOnly(options)))

/** Registers the suite once per server; on a machine without its own PostgreSQL that half is reported as skipped, with the reason. */
export const onEachServer = (name: string, suite: (server: ServerKind) => void): void => {
  for (const kind of ["embedded", "system"] as const) {
    const server = serverOf(kind)
    if (server._tag === "Running") describe(`${name}, on ${server.version}`, () => suite(kind))
    else describe.skip(`${name}, on the machine's own PostgreSQL (${server.reason})`, () => suite(kind))
  }
}

interface Address {
  readonly socketDirectory: string
  readonly port: number
  readonly username: string
}

const client = (address: Address & { readonly database: string; readonly connectionsMax: number }) =>
  PgClient.layer({
    host: address.socketDirectory,
    port: address.port,
    username: address.username,
    database: address.database,
    maxConnections: address.connectionsMax
  })

const administer = (address: Address, statement: string) =>
  Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe(statement)).pipe(
    Effect.provide(client({ ...address, database: "postgres", connectionsMax: 1 }))
  )

const serverOf = (kind: ServerKind): PostgresServer => inject(kind === "embedded" ? "embeddedServer" : "systemServer")

const running = (server: PostgresServer) => {
  if (server._tag === "Running") return server
  throw new Error(`This test needs a server that is absent: ${server.reason} Wrap the suite in onEachServer.`)
}
