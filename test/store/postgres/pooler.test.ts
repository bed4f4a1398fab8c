/** What a pooler between us and the server does with the settings that our connections ask for: it drops or refuses them. */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Logger } from "effect"
import * as fs from "node:fs"
import * as net from "node:net"
import { connectionSettings, ownClient } from "../../../src/store/postgres/ownClient.ts"
import { lostSettings, warnOfLostSettings } from "../../../src/store/postgres/serverChecks.ts"
import { orUnavailable } from "../../../src/store/postgres/sqlErrors.ts"
import { StoreUnavailable } from "../../../src/store/StoreError.ts"
import { database, TestDatabase } from "../../setup/database.ts"

/** One connection of an account, as it comes through a pooler that drops what it does not know. */
const plainClient = Effect.gen(function* () {
  const { database: name, port, socketDirectory } = yield* TestDatabase
  return PgClient.layer({ host: socketDirectory, port, username: "pooled", database: name, maxConnections: 1 })
})

layer(database(), { excludeTestServices: true })("the settings of the store's connections", (it) => {
  it.effect("are all there without a pooler", () =>
    Effect.gen(function* () {
      const own = yield* ownClient(yield* PgClient.PgClient, 1)
      assert.deepStrictEqual(yield* lostSettings(own), [])
    }).pipe(Effect.scoped)
  )

  it.effect("are missed when they were dropped, with statements that give all of them to the account", () =>
    Effect.gen(function* () {
      const admin = yield* PgClient.PgClient
      yield* admin`CREATE ROLE pooled LOGIN`
      yield* Effect.addFinalizer(() => Effect.orDie(admin`DROP ROLE pooled`))
      const lost = yield* Effect.flatMap(PgClient.PgClient, lostSettings).pipe(Effect.provide(yield* plainClient))
      // The server's own default is what the store asks for.
      const names = Object.keys(connectionSettings).filter((name) => name !== "default_transaction_isolation")
      assert.sameMembers(
        lost.map(({ name }) => name),
        names
      )
      for (const { way } of lost) yield* admin.unsafe(way)
      const left = yield* Effect.flatMap(PgClient.PgClient, lostSettings).pipe(Effect.provide(yield* plainClient))
      assert.deepStrictEqual(left, [])
    }).pipe(Effect.scoped)
  )

  it.effect("are told in one warning, which names the way out", () =>
    Effect.gen(function* () {
      const warnings: Array<string> = []
      const logger = Logger.make(({ message }) => void warnings.push(String(message)))
      yield* warnOfLostSettings(yield* PgClient.PgClient).pipe(Effect.provide(Logger.layer([logger])))
      assert.lengthOf(warnings, 1)
      assert.include(warnings[0], "ALTER ROLE postgres SET enable_seqscan = 'off'")
    })
  )
})

describe("a pooler that refuses settings it does not know", () => {
  it.live("is no outage that passes: the store does not open, and says what to do", () =>
    Effect.gen(function* () {
      const port = yield* refusing
      const layerOf = PgClient.layer({ host: "127.0.0.1", port, username: "any", database: "any", maxConnections: 1 })
      const error = yield* Effect.flatMap(PgClient.PgClient, (client) => ownClient(client, 1)).pipe(
        Effect.andThen((own) => own`SELECT 1`),
        orUnavailable("connect"),
        Effect.scoped,
        Effect.provide(layerOf),
        Effect.flip
      )
      assert.instanceOf(error, StoreUnavailable)
      assert.propertyVal(error, "commitUnknown", false)
      assert.include(error.message, "docs/guide/deploying.md#connections")
    }).pipe(Effect.scoped)
  )

  it("is told by the page on deploying which settings to ignore and to give to the account", () => {
    const page = fs.readFileSync("docs/guide/deploying.md", "utf8")
    assert.include(page, `ignore_startup_parameters = ${Object.keys(connectionSettings).join(",")}`)
    for (const [name, value] of Object.entries(connectionSettings)) assert.include(page, `SET ${name} = '${value}'`)
  })
})

/** Answers the first message of every connection as PgBouncer does, and closes it. */
const refusing = Effect.gen(function* () {
  const answer = errorResponse("unsupported startup parameter: lock_timeout")
  const server = net.createServer((socket) => {
    socket.on("error", () => {})
    socket.once("data", () => socket.end(answer))
  })
  yield* Effect.addFinalizer(() => Effect.sync(() => server.close()))
  return yield* Effect.callback<number>((resume) => {
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : 0))
    })
  })
})

/** Of the wire protocol: a type, a length that counts itself, and fields of a letter and a text each. */
const errorResponse = (message: string): Buffer => {
  const fields = Buffer.from(`SFATAL\0C08P01\0M${message}\0\0`)
  const head = Buffer.alloc(5)
  head.write("E")
  head.writeInt32BE(fields.length + 4, 1)
  return Buffer.concat([head, fields])
}
