import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, type Redacted, Schedule } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import type { StoreUnavailable } from "../StoreError.ts"
import { keepAliveMs } from "./keepAlive.ts"
import { unavailable } from "./sqlErrors.ts"
import { type tlsOf, tlsRefusal, type TlsRefused } from "./tls.ts"

/** The application's own connections, as its address says. */
export type Address = {
  readonly url: Redacted.Redacted
  /** Of `tlsOf`. */
  readonly tls: Effect.Success<ReturnType<typeof tlsOf>>
}

/** A server that does not answer by then is not reachable. */
const connectTimeoutMs = 5_000
const retryDelayMsMax = 5_000

/** With TLS, a server that is not trusted is said at once, and why. */
export const layer = (
  address: Address,
  maxConnections: number
): Layer.Layer<PgClient.PgClient | SqlClient, StoreUnavailable | TlsRefused> => {
  const pool = untried(address, maxConnections)
  if (address.tls === undefined) return pool
  return Layer.tap(pool, (context) =>
    Context.get(context, PgClient.PgClient)`SELECT 1`.pipe(Effect.catch((error) => tlsRefusal(error) ?? Effect.void))
  )
}

export const untried = (
  { tls, url }: Address,
  maxConnections: number
): Layer.Layer<PgClient.PgClient | SqlClient, StoreUnavailable> =>
  PgClient.layer({
    url,
    ssl: tls,
    maxConnections,
    connectTimeout: connectTimeoutMs,
    keepAlive: keepAliveMs,
    applicationName: "duetime-app"
  }).pipe(Layer.catchTag("SqlError", (error) => Layer.effectContext(Effect.fail(unavailable("connect", error)))))

/** Waits until the database answers, and says so once when it has to. */
export const reachable = <E>(
  pool: Layer.Layer<PgClient.PgClient | SqlClient, E>
): Layer.Layer<PgClient.PgClient | SqlClient, E | StoreUnavailable | TlsRefused> =>
  Layer.tap(pool, (context) =>
    Effect.gen(function* () {
      const sql = Context.get(context, PgClient.PgClient)
      let waits = false
      const ask = sql`SELECT 1`.pipe(
        Effect.tapError((error) => {
          if (waits || !isUnreachable(error)) return Effect.void
          waits = true
          return Effect.logWarning(`waiting for the database: ${unavailable("connect", error).reason}`)
        })
      )
      yield* ask.pipe(Effect.retry({ while: isUnreachable, schedule: reconnect }))
      if (waits) yield* Effect.logInfo("the database answers")
    }).pipe(Effect.mapError((error) => tlsRefusal(error) ?? unavailable("connect", error)))
  )

const reconnect = Schedule.min([Schedule.exponential("100 millis"), Schedule.spaced(retryDelayMsMax)])

/** Wrong names, passwords and certificates stay wrong; waiting would only hide them. */
const isUnreachable = (error: SqlError): boolean =>
  error.reason._tag !== "AuthenticationError" &&
  error.reason._tag !== "AuthorizationError" &&
  tlsRefusal(error) === null
