/** A network between this process and the server that takes everything and brings nothing. */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import * as fs from "node:fs"
import * as path from "node:path"
import { Line } from "../../../simulations/chaos/Line.ts"
import * as PgTaskStore from "../../../src/store/postgres/PgTaskStore.ts"
import { ownClient } from "../../../src/store/postgres/ownClient.ts"
import { Session } from "../../../src/store/Session.ts"
import { database, TestDatabase } from "../../setup/database.ts"

const leaseMs = 4_000
const lookIntervalMs = 20

/** A client of the test's database, by TCP and through a line. */
const throughLine = Effect.gen(function* () {
  const { database, port, socketDirectory, username } = yield* TestDatabase
  const line = yield* Line.open(() => ({ path: path.join(socketDirectory, `.s.PGSQL.${port}`) }))
  const client = yield* PgClient.make({ host: "127.0.0.1", port: line.port, database, username }).pipe(
    Effect.provide(Reactivity.layer)
  )
  return { line, client }
})

const sessionThroughLine = Effect.gen(function* () {
  const { client, line } = yield* throughLine
  const store = PgTaskStore.layer({ leaseMs, migrate: true, unsafeDurability: true }).pipe(
    Layer.provide(Layer.succeed(PgClient.PgClient, client))
  )
  const context = yield* Layer.build(store)
  // What is closed afterwards need not wait for the dead.
  yield* Effect.addFinalizer(() => Effect.sync(() => line.cut()))
  return { line, session: Context.get(context, Session) }
})

const untilAlive = (session: Session["Service"], limitMs: number) =>
  Effect.gen(function* () {
    while (!session.isAlive()) yield* Effect.sleep(lookIntervalMs)
  }).pipe(Effect.timeout(limitMs))

/** Shorter than any kernel takes to find out. */
const soonMs = 10_000
const timeout = 60_000

layer(database(), { excludeTestServices: true, timeout })("with a network that forgets connections", (it) => {
  it.effect(
    "the lease finds another connection, and never waits for the dead one",
    () =>
      Effect.gen(function* () {
        const { line, session } = yield* sessionThroughLine
        yield* untilAlive(session, soonMs)
        line.darken("both")
        line.lighten("never")
        const fromMs = performance.now()
        // All that was promised by then has run out.
        while (performance.now() - fromMs < leaseMs) yield* Effect.sleep(lookIntervalMs)
        yield* untilAlive(session, soonMs - leaseMs)
      }).pipe(Effect.scoped),
    timeout
  )

  it.effect(
    "a lease that was lost while nothing came through is a new one soon after",
    () =>
      Effect.gen(function* () {
        const { line, session } = yield* sessionThroughLine
        for (const afterwards of ["late", "never"] as const) {
          yield* untilAlive(session, soonMs)
          line.darken("answers")
          while (session.isAlive()) yield* Effect.sleep(lookIntervalMs)
          line.lighten(afterwards)
          yield* untilAlive(session, soonMs)
        }
      }).pipe(Effect.scoped),
    timeout
  )

  it.effect("kernels ask whether the server is still there", () =>
    Effect.gen(function* () {
      const { client, line } = yield* throughLine
      const own = yield* ownClient(client, 1)
      yield* own`SELECT 1`
      const portHex = line.port.toString(16).toUpperCase().padStart(4, "0")
      const rows = fs.readFileSync("/proc/net/tcp", "utf8").split("\n")
      // https://docs.kernel.org/networking/proc_net_tcp.html: the address of the other side, state 01, timer 02 is keepalive's.
      const timers = rows.flatMap((row) => {
        const [, , remote = "", state, , timer = ""] = row.trim().split(/\s+/)
        return remote.endsWith(`:${portHex}`) && state === "01" ? [timer.slice(0, 2)] : []
      })
      assert.include(timers, "02")
    }).pipe(Effect.scoped)
  )
})
