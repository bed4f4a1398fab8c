import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { Reactivity } from "effect/reactivity"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"

/** What a program without duetime's client gives to `duetime.schedule`. */
export type Arguments = {
  readonly kind: string | null
  readonly payload?: string | null
  /** An SQL expression. */
  readonly dueAt?: string
  readonly key?: string
  readonly priority?: string
  readonly orderingKey?: string
  /** An SQL expression. */
  readonly keyExpiresIn?: string
  /** An SQL expression. */
  readonly expiresIn?: string
  /** An SQL expression. */
  readonly expiresAt?: string
}

export type Answer = { readonly task_id: string; readonly created: boolean }

export const scheduleBy = (sql: SqlClient, given: Arguments): Effect.Effect<Answer, SqlError> => {
  const named = [
    ...(given.dueAt === undefined ? [] : [`due_at => ${given.dueAt}`]),
    ...(given.key === undefined ? [] : ["key => $3"]),
    ...(given.priority === undefined ? [] : ["priority => $4"]),
    ...(given.keyExpiresIn === undefined ? [] : [`key_expires_in => ${given.keyExpiresIn}`]),
    ...(given.expiresIn === undefined ? [] : [`expires_in => ${given.expiresIn}`]),
    ...(given.expiresAt === undefined ? [] : [`expires_at => ${given.expiresAt}`]),
    ...(given.orderingKey === undefined ? [] : ["ordering_key => $5"])
  ]
  // Those that are not named are null as parameters, so that every call has the same five.
  const text = `WITH unused AS (SELECT $3::text, $4::text, $5::text)
    SELECT task_id, created FROM duetime.schedule(${["$1::text", "$2::text::jsonb", ...named].join(", ")})`
  const { key = null, kind, orderingKey = null, payload = "null", priority = null } = given
  return Effect.map(sql.unsafe<Answer>(text, [kind, payload, key, priority, orderingKey]), ([answer]) => {
    if (answer === undefined) throw new Error("duetime.schedule answered no row")
    return answer
  })
}

/** A connection of its own, of another account of the server if one is named. */
export const connect = Effect.fnUntraced(function* (username = "postgres") {
  const ambient = yield* PgClient.PgClient
  return yield* PgClient.make({ ...ambient.config, username, maxConnections: 1 }).pipe(Effect.provide(Reactivity.layer))
})

/** What the server says of a statement that it refuses. */
export const refusalOf = <A, R>(effect: Effect.Effect<A, SqlError, R>) =>
  Effect.map(Effect.flip(effect), (error): Refusal => {
    const { cause } = error.reason
    const said = (field: string) => {
      const value: unknown = typeof cause === "object" && cause !== null ? Reflect.get(cause, field) : undefined
      return value === undefined ? "" : String(value)
    }
    return { code: said("code"), message: said("message"), hint: said("hint"), column: said("column") }
  })
type Refusal = { readonly code: string; readonly message: string; readonly hint: string; readonly column: string }
