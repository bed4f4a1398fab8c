import { Cause, Clock, Deferred, Effect, Redacted, type Scope } from "effect"
import type { PgClient } from "@effect/sql-pg"
import type { SqlClient } from "effect/sql/SqlClient"
import { hostname } from "node:os"
import { Worker } from "node:worker_threads"
import type { KindPolicy } from "../../core/KindPolicy.ts"
import { OwnKinds } from "../OwnKinds.ts"
import { renewalsPerLease, type Session } from "../Session.ts"
import type { Kinds } from "./Kinds.ts"
import { int4, int4s, text } from "./parameters.ts"
import type { FromSessionThread, SessionThreadData, ToSessionThread } from "./sessionThread.ts"
import { orUnavailable } from "./sqlErrors.ts"
import { cloneOf } from "./tls.ts"

/**
 * The lease of this process, renewed by a thread with a connection of its own: a handler that blocks the event loop
 * must not cost the whole process its lease. (A blocked handler still ends at its attempt's own deadline.) The thread
 * writes the session's id and the monotonic instant until which the lease surely lasts into shared memory, so that
 * `isAlive` is a read and works while messages wait.
 */
/** Wait for the thread to give the lease back on a clean stop; without it the lease runs out by itself. */
const closeTimeoutMs = 2_000
/** Three cells, which sessionThread.ts tells of. */
const sharedBytes = 24
/** Pause before a crashed thread is started again. */
const respawnDelayMs = 250

export const make = Effect.fnUntraced(function* (options: {
  readonly client: PgClient.PgClient
  readonly sql: SqlClient
  readonly kinds: Kinds
  readonly leaseMs: number
}): Effect.fn.Return<typeof Session.Service, never, Scope.Scope> {
  const { client, kinds, leaseMs, sql } = options
  const clock = yield* Clock.Clock
  const shared = new SharedArrayBuffer(sharedBytes)
  const cells = new BigInt64Array(shared)
  let kindIds: ReadonlyArray<number> = []
  const ownKinds = new OwnKinds()
  const data = yield* threadData(client, shared, leaseMs)

  const opened = yield* Deferred.make<void>()
  let worker: Worker | null = null
  const post = (message: ToSessionThread) => worker?.postMessage(message)

  const thread = Effect.callback<void>((resume) => {
    const current = new Worker(threadFile, { workerData: data, name: "duetime-session" })
    worker = current
    post({ _tag: "Kinds", kindIds })
    current.on("message", (message: FromSessionThread) => {
      if (message._tag === "Opened") Deferred.doneUnsafe(opened, Effect.void)
    })
    current.once("error", (error) => resume(Effect.logError("the session thread failed and is started again", error)))
    current.once("exit", () => resume(Effect.void))
    return Effect.callback<void>((closed) => {
      current.removeAllListeners()
      current.once("exit", () => closed(Effect.void))
      current.postMessage({ _tag: "Close" } satisfies ToSessionThread)
    }).pipe(
      Effect.timeout(closeTimeoutMs),
      Effect.catchCause((cause) => Effect.logDebug("the session was not closed in time", Cause.pretty(cause))),
      Effect.ensuring(Effect.promise(() => current.terminate()))
    )
  })
  yield* thread.pipe(Effect.andThen(Effect.sleep(respawnDelayMs)), Effect.forever, Effect.forkScoped)
  yield* Deferred.await(opened)

  const id = () => Number(Atomics.load(cells, 0))

  const announce = Effect.fnUntraced(function* (policies: ReadonlyArray<KindPolicy>) {
    const ids = yield* kinds.idsOf(policies.map((policy) => policy.kind))
    for (const policy of policies) {
      yield* sql.unsafe(
        `UPDATE duetime.kind SET policy = $2::text::jsonb, updated_at = clock_timestamp()
         WHERE kind_id = $1::int4 AND policy IS DISTINCT FROM $2::text::jsonb`,
        [int4(ids.get(policy.kind) ?? 0), text(JSON.stringify(policy))]
      )
    }
    kindIds = [...ids.values()].toSorted((left, right) => left - right)
    // The thread needs them to open a session anew; this one is told at once.
    post({ _tag: "Kinds", kindIds })
    yield* sql.unsafe(`UPDATE duetime.session SET kind_ids = $2::int4[] WHERE session_id = $1::int4`, [
      int4(id()),
      int4s(kindIds)
    ])
    Atomics.store(cells, 2, 0n)
    ownKinds.announced([...ids.keys()])
  })

  // A kind that does not exist may be being made by a transaction that stays open: the others do not wait for it.
  const serve = Effect.fnUntraced(function* (policies: ReadonlyArray<KindPolicy>) {
    const known = yield* kinds.knownOf(policies.map((policy) => policy.kind))
    if (known.size > 0 && known.size < policies.length)
      yield* announce(policies.filter((policy) => known.has(policy.kind)))
    yield* announce(policies)
  }, orUnavailable("serve"))

  return {
    id,
    isAlive: () => clock.monotonicTimeNanosUnsafe() < Atomics.load(cells, 1),
    leaseMs,
    serve,
    isForgotten: () => Atomics.load(cells, 2) === 1n,
    ownKinds: () => ownKinds.all,
    newOwnKinds: ownKinds.news
  }
})

/** The published package has .js files, the sources run as .ts. */
const threadFile = new URL(
  import.meta.url.endsWith(".ts") ? "./sessionThread.ts" : "./sessionThread.js",
  import.meta.url
)

const threadData = Effect.fnUntraced(function* (client: PgClient.PgClient, shared: SharedArrayBuffer, leaseMs: number) {
  const { config } = client
  const password = Effect.isEffect(config.password) ? yield* config.password : config.password
  return {
    shared,
    leaseMs,
    renewIntervalMs: leaseMs / renewalsPerLease,
    process: `${hostname()}:${process.pid}`,
    connection: {
      url: config.url === undefined ? undefined : Redacted.value(config.url),
      host: config.host ?? config.path,
      port: config.port,
      database: config.database,
      username: config.username,
      password: password === undefined ? undefined : Redacted.value(password),
      ssl: typeof config.ssl === "object" ? cloneOf(config.ssl) : config.ssl
    }
  } satisfies SessionThreadData
})
