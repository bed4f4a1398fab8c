/**
 * Runs in a worker thread: opens the session, renews its lease, opens a new one when the session was ended, and closes it.
 * A lease that ran out is renewed like any other as long as nobody has ended the session: no task was taken from it yet, and
 * after an outage supervisors leave a whole lease of quiet time for just that.
 * Memory shared with the main thread: [0] the session's id, [1] the monotonic nanosecond until which the lease surely
 * lasts, counted from before the renewal was sent, so that it is never longer than the database's; [2] 1 if the last renewal found
 * other kinds announced than this process has, else 0.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Exit, Fiber, Layer, Option, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { parentPort, workerData } from "node:worker_threads"
import { keepAliveMs } from "./keepAlive.ts"
import { float8, int4, int4s, text } from "./parameters.ts"
import { type ClonedTls, ofClone } from "./tls.ts"

export type SessionThreadData = {
  readonly shared: SharedArrayBuffer
  readonly leaseMs: number
  readonly renewIntervalMs: number
  /** Host and process id, for people. */
  readonly process: string
  readonly connection: {
    readonly url: string | undefined
    readonly host: string | undefined
    readonly port: number | undefined
    readonly database: string | undefined
    readonly username: string | undefined
    readonly password: string | undefined
    readonly ssl: boolean | ClonedTls | undefined
  }
}
export type ToSessionThread =
  | { readonly _tag: "Kinds"; readonly kindIds: ReadonlyArray<number> }
  | { readonly _tag: "Close" }
export type FromSessionThread = { readonly _tag: "Opened"; readonly sessionId: number }

/** Pause after a failure: short against the lease, so that a blip of the database costs no session. */
const retryDelayMs = 100
const connectionsMax = 3

const run = Effect.fnUntraced(function* (data: SessionThreadData, port: NonNullable<typeof parentPort>) {
  const cells = new BigInt64Array(data.shared)
  const clock = yield* Clock.Clock
  const sql = yield* PgClient.PgClient
  let kindIds: ReadonlyArray<number> = []
  let sessionId: number | null = null
  const state = { closing: false }
  let wake = () => {}
  port.on("message", (message: ToSessionThread) => {
    if (message._tag === "Kinds") kindIds = message.kindIds
    else {
      state.closing = true
      wake()
    }
  })

  const trust = (id: number, askedNanos: bigint) => {
    Atomics.store(cells, 0, BigInt(id))
    Atomics.store(cells, 1, askedNanos + BigInt(Math.floor(data.leaseMs * 1e6)))
  }

  const lease = `clock_timestamp() + $1::float8 * interval '1 millisecond'`
  const open = Effect.gen(function* () {
    const askedNanos = clock.monotonicTimeNanosUnsafe()
    const [row] = yield* sql.unsafe<{ readonly session_id: number }>(
      `INSERT INTO duetime.session (lease_until, process, kind_ids) VALUES (${lease}, $2::text, $3::int4[]) RETURNING session_id`,
      [float8(data.leaseMs), text(data.process), int4s(kindIds)]
    )
    if (row === undefined) return
    sessionId = row.session_id
    trust(row.session_id, askedNanos)
    port.postMessage({ _tag: "Opened", sessionId: row.session_id } satisfies FromSessionThread)
  })

  const renew = Effect.fnUntraced(function* (id: number) {
    const askedNanos = clock.monotonicTimeNanosUnsafe()
    const announced = kindIds
    const [row] = yield* sql.unsafe<{ readonly kind_ids: ReadonlyArray<number> }>(
      `UPDATE duetime.session SET lease_until = ${lease}
       WHERE session_id = $2::int4 AND ended_at IS NULL RETURNING kind_ids`,
      [float8(data.leaseMs), int4(id)]
    )
    if (row !== undefined) {
      const isAnnounced =
        row.kind_ids.length === announced.length && row.kind_ids.every((kindId, place) => kindId === announced[place])
      Atomics.store(cells, 2, isAnnounced ? 0n : 1n)
      return trust(id, askedNanos)
    }
    // A supervisor has ended the session: everything held under the old id is somebody else's, or will be in a moment.
    Atomics.store(cells, 1, 0n)
    sessionId = null
  })

  const pause = (ms: number) =>
    Effect.raceFirst(
      Effect.sleep(ms),
      Effect.callback<void>((resume) => {
        wake = () => resume(Effect.void)
        if (state.closing) wake()
      })
    )

  /**
   * A network that has forgotten a connection says so to nobody: without an answer for half a lease the next try has another
   * connection, and time left. The driver takes seconds to end one that is dead; nobody waits for that.
   */
  const succeeds = Effect.fnUntraced(function* <E>(beat: Effect.Effect<void, E>) {
    const asked = yield* Effect.forkChild(beat)
    const answer = yield* Fiber.await(asked).pipe(Effect.timeoutOption(data.leaseMs / 2))
    if (Option.isNone(answer)) asked.interruptUnsafe()
    return Option.isSome(answer) && Exit.isSuccess(answer.value)
  })

  while (!state.closing) {
    if (!(yield* succeeds(sessionId === null ? open : renew(sessionId)))) yield* pause(retryDelayMs)
    else if (sessionId !== null) yield* pause(data.renewIntervalMs)
  }
  if (sessionId !== null) {
    yield* sql
      .unsafe(
        `UPDATE duetime.session SET ended_at = clock_timestamp() WHERE session_id = $1::int4 AND ended_at IS NULL`,
        [int4(sessionId)]
      )
      .pipe(Effect.ignore)
  }
})

const isThreadData = (value: unknown): value is SessionThreadData =>
  typeof value === "object" && value !== null && "shared" in value && "connection" in value

const port = parentPort
const data: unknown = workerData
if (port !== null && isThreadData(data)) {
  const { password, ssl, url, ...connection } = data.connection
  const client = Layer.effect(
    PgClient.PgClient,
    PgClient.make({
      ...connection,
      ssl: typeof ssl === "object" ? ofClone(ssl) : ssl,
      ...(url === undefined ? {} : { url: Redacted.make(url) }),
      ...(password === undefined ? {} : { password: Redacted.make(password) }),
      applicationName: "duetime-session",
      // One, and another one while a dead one is ended.
      maxConnections: connectionsMax,
      connectTimeout: data.leaseMs / 2,
      keepAlive: keepAliveMs,
      // A renewal that hangs longer than this is of no use any more.
      startupParameters: { statement_timeout: String(data.leaseMs), lock_timeout: String(data.renewIntervalMs) }
    })
  ).pipe(Layer.provide(Reactivity.layer))
  Effect.runFork(run(data, port).pipe(Effect.provide(client), Effect.ensuring(Effect.sync(() => port.close()))))
}
