/**
 * Goal: with `sslmode=verify-full` and an authority of one's own, every connection is encrypted and its server verified, and a server that is
 * not trusted is told at once, with the way out. Method: a PostgreSQL with a certificate made for this test.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { runCli } from "../cli/runCli.ts"
import { RoleProcess, until } from "../cli/roleProcess.ts"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"
import * as FreePort from "../../src/embedded/FreePort.ts"
import { authority } from "../setup/certificates.ts"

class Server extends Context.Service<
  Server,
  {
    readonly addressWith: (parameters: string, host?: string) => string
    readonly sql: PgClient.PgClient
    readonly caFile: string
    readonly otherCaFile: string
  }
>()("test/Server") {}

/** The server reads its files when it gets to it. */
const turn = Effect.fnUntraced(function* (sql: PgClient.PgClient, ssl: "on" | "off") {
  yield* sql.unsafe(`ALTER SYSTEM SET ssl = ${ssl}`)
  yield* sql`SELECT pg_reload_conf()`
  yield* until(
    Effect.map(sql<{ readonly ssl: string }>`SELECT current_setting('ssl') AS ssl`, ([row]) => row?.ssl === ssl)
  )
})

/** Of a certificate for `localhost` and no other name. */
const server = Layer.effect(
  Server,
  Effect.gen(function* () {
    const port = yield* FreePort.choose([])
    const ours = yield* authority
    const others = yield* authority
    const postgres = yield* EmbeddedPostgres.make({
      durability: "none",
      settings: { listen_addresses: "127.0.0.1", port }
    })
    const { certFile, keyFile } = ours.sign(["localhost"])
    const cluster = path.join(postgres.dataDirectory, "cluster")
    const { gid, uid } = fs.statSync(cluster)
    for (const [from, to] of [
      [certFile, "server.crt"],
      [keyFile, "server.key"]
    ] as const) {
      fs.copyFileSync(from, path.join(cluster, to))
      fs.chmodSync(path.join(cluster, to), 0o600)
      fs.chownSync(path.join(cluster, to), uid, gid)
    }
    const client = PgClient.layer({
      host: postgres.socketDirectory,
      port,
      username: "postgres",
      database: "postgres",
      maxConnections: 1
    })
    const sql = Context.get(yield* Layer.build(client), PgClient.PgClient)
    yield* turn(sql, "on")
    return {
      addressWith: (parameters: string, host = "localhost") =>
        `postgresql://postgres@${host}:${port}/postgres?${parameters}`,
      sql,
      caFile: ours.caFile,
      otherCaFile: others.caFile
    }
  })
)

/** A process starts in two seconds, or in ten where others do. */
const processTimeoutMs = 90_000

const environmentOf = (url: string) => ({
  DUETIME_DATABASE_URL: url,
  DUETIME_UNSAFE_DURABILITY: "true",
  DUETIME_MIGRATE: "true"
})

layer(server, { excludeTestServices: true, timeout: 60_000 })("a database that is reached with TLS", (it) => {
  it.effect(
    "is trusted by the authority that the address names, on every connection of a process",
    () =>
      Effect.gen(function* () {
        const { addressWith, caFile, sql } = yield* Server
        const env = environmentOf(addressWith(`sslmode=verify-full&sslrootcert=${encodeURIComponent(caFile)}`))
        const migrated = yield* runCli(["migrate"], env)
        assert.strictEqual(migrated.status, 0, migrated.stderr)
        const running = yield* Effect.acquireRelease(
          Effect.sync(() => new RoleProcess(["run", "--tasks", "test/cli/modules/greet.ts"], env)),
          (started) => Effect.promise(() => (started.kill("SIGTERM"), started.ended))
        )
        const scheduled = yield* runCli(["schedule", "greet", "--payload", '{"name":"Ada"}', "--json"], env)
        const { id } = JSON.parse(scheduled.stdout) as { readonly id: string }
        yield* until(
          Effect.map(runCli(["task", id, "--json"], env), ({ stdout }) => /"stage": *"succeeded"/.test(stdout))
        )
        const connections = yield* sql<{ readonly application: string; readonly isEncrypted: boolean }>`
        SELECT DISTINCT application_name AS application, ssl AS "isEncrypted"
        FROM pg_stat_activity JOIN pg_stat_ssl USING (pid) WHERE application_name LIKE 'duetime%' ORDER BY 1`
        assert.deepStrictEqual(
          connections.map(({ application, isEncrypted }) => [application, isEncrypted]),
          [
            ["duetime", true],
            ["duetime-app", true],
            ["duetime-session", true]
          ]
        )
        assert.notMatch(running.stderr, /level=(WARN|ERROR)/)
      }).pipe(Effect.scoped),
    processTimeoutMs
  )

  const refusals: ReadonlyArray<readonly [what: string, of: (server: Server["Service"]) => string, message: RegExp]> = [
    [
      "another authority",
      ({ addressWith, otherCaFile }) => addressWith(`sslmode=verify-full&sslrootcert=${otherCaFile}`),
      /leads to a server that is not trusted: .*\. Name the PEM file of the authority that signed it: .*sslrootcert=/
    ],
    [
      "the system's authorities",
      ({ addressWith }) => addressWith("sslmode=require"),
      /not trusted: .*\. Name the PEM file of the authority/
    ],
    [
      "a name that the certificate has not",
      ({ addressWith, caFile }) => addressWith(`sslmode=verify-full&sslrootcert=${caFile}`, "127.0.0.1"),
      /not trusted: .*\(ERR_TLS_CERT_ALTNAME_INVALID\)\. Name the host as its certificate does/
    ],
    [
      "a mode that is none",
      ({ addressWith }) => addressWith("sslmode=on"),
      /has sslmode=on, which is none\. It is one of disable/
    ],
    [
      "a file without a mode",
      ({ addressWith, caFile }) => addressWith(`sslrootcert=${caFile}`),
      /names sslrootcert and does not ask for TLS\. Say sslmode=verify-full/
    ],
    [
      "a file that is not there",
      ({ addressWith }) => addressWith("sslmode=verify-full&sslrootcert=/nowhere/ca.pem"),
      /cannot be read: ENOENT.*\. Give the path of a PEM file/
    ]
  ]
  for (const [what, addressOf, message] of refusals) {
    it.effect(`is refused at once, with the way out, by ${what}`, () =>
      Effect.gen(function* () {
        const env = environmentOf(addressOf(yield* Server))
        // A tool that looks once, and a role that waits for a database that is away.
        for (const args of [["tasks"], ["run", "--tasks", "test/cli/modules/greet.ts"]]) {
          const { status, stderr } = yield* runCli(args, env)
          assert.match(stderr, /^ConfigInvalid: DUETIME_DATABASE_URL /)
          assert.match(stderr, message)
          assert.strictEqual(status, 3)
        }
      })
    )
  }

  it.effect(
    "is trusted under any name with verify-ca, by the lease's thread, too",
    () =>
      Effect.gen(function* () {
        const { addressWith, caFile } = yield* Server
        const env = environmentOf(addressWith(`sslmode=verify-ca&sslrootcert=${caFile}`, "127.0.0.1"))
        const running = yield* Effect.acquireRelease(
          Effect.sync(() => new RoleProcess(["run", "--tasks", "test/cli/modules/greet.ts"], env)),
          (started) => Effect.promise(() => (started.kill("SIGTERM"), started.ended))
        )
        yield* Effect.promise(() => running.logged(/run started/))
      }).pipe(Effect.scoped),
    processTimeoutMs
  )

  it.effect("that has no TLS is refused, and not spoken to in the clear", () =>
    Effect.gen(function* () {
      const { addressWith, caFile, sql } = yield* Server
      yield* turn(sql, "off")
      const { status, stderr } = yield* runCli(
        ["tasks"],
        environmentOf(addressWith(`sslmode=verify-full&sslrootcert=${caFile}`))
      )
      assert.match(stderr, /^ConfigInvalid: .*does not support TLS.*Turn TLS on there/)
      assert.strictEqual(status, 3)
    })
  )
})
