import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { SqlError } from "effect/sql/SqlError"
import { defaultKindPolicy, type KindPolicy } from "../../core/KindPolicy.ts"
import { texts } from "./parameters.ts"

/**
 * Kind names and numbers. A number never changes its name, so both directions are cached for good; policies change with
 * deploys and are read whenever they are needed, which is never on the hot path.
 */
export type Kinds = {
  /** Numbers for names, made for names never seen. Safe inside a transaction that rolls back. */
  readonly idsOf: (names: Iterable<string>) => Effect.Effect<ReadonlyMap<string, number>, SqlError>
  /** Numbers for those of the names that exist. */
  readonly knownIdsOf: (names: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<number>, SqlError>
  /** Those of the names that exist. */
  readonly knownOf: (names: ReadonlyArray<string>) => Effect.Effect<ReadonlySet<string>, SqlError>
  /** Loads all, and tells when a number is missing. */
  readonly load: Effect.Effect<void, SqlError>
  readonly nameOf: (id: number) => string
  readonly ensureNames: (ids: Iterable<number | null>) => Effect.Effect<void, SqlError>
  readonly policies: Effect.Effect<ReadonlyMap<number, KindPolicy>, SqlError>
}

export type KindRow = {
  readonly kind_id: number
  readonly name: string
  readonly policy: Partial<KindPolicy> | null
}

/** A policy stored by an older worker lacks what was added since. */
export const policyOf = ({ name, policy }: KindRow): KindPolicy => ({ ...defaultKindPolicy(name), ...policy })

export const make = (sql: SqlClient): Kinds => {
  const idByName = new Map<string, number>()
  const nameById = new Map<number, string>()

  const remember = (rows: ReadonlyArray<{ readonly kind_id: number; readonly name: string }>) => {
    for (const { kind_id, name } of rows) {
      idByName.set(name, kind_id)
      nameById.set(kind_id, name)
    }
  }

  const idsOf = Effect.fnUntraced(function* (names: Iterable<string>) {
    const wanted = [...new Set(names)]
    const missing = wanted.filter((name) => !idByName.has(name)).toSorted()
    const found = new Map(wanted.flatMap((name) => (idByName.has(name) ? [[name, idByName.get(name) ?? 0]] : [])))
    if (missing.length === 0) return found
    yield* sql.unsafe(`INSERT INTO duetime.kind (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING`, [
      texts(missing)
    ])
    const rows = yield* sql.unsafe<{ readonly kind_id: number; readonly name: string }>(
      `SELECT kind_id, name FROM duetime.kind WHERE name = ANY($1::text[])`,
      [texts(missing)]
    )
    // A number made in a transaction that rolls back must not be remembered.
    yield* sql.afterCommit(Effect.sync(() => remember(rows)))
    for (const row of rows) found.set(row.name, row.kind_id)
    return found
  })

  const load = Effect.map(
    sql.unsafe<{ readonly kind_id: number; readonly name: string }>(`SELECT kind_id, name FROM duetime.kind`),
    remember
  )

  const knownOf = Effect.fnUntraced(function* (names: ReadonlyArray<string>) {
    if (names.some((name) => !idByName.has(name))) yield* load
    return new Set(names.filter((name) => idByName.has(name)))
  })

  const knownIdsOf = (names: ReadonlyArray<string>) =>
    Effect.map(knownOf(names), (known) => Array.from(known, (name) => idByName.get(name) ?? 0))

  const ensureNames = Effect.fnUntraced(function* (ids: Iterable<number | null>) {
    for (const id of ids) if (id !== null && !nameById.has(id)) return yield* load
  })

  const loadPolicies = Effect.map(sql.unsafe<KindRow>(`SELECT kind_id, name, policy FROM duetime.kind`), (rows) => {
    remember(rows)
    return new Map(rows.map((row) => [row.kind_id, policyOf(row)]))
  })

  return {
    idsOf,
    knownIdsOf,
    knownOf,
    load,
    ensureNames,
    nameOf: (id) => nameById.get(id) ?? `#${id}`,
    policies: loadPolicies
  }
}
