import { Effect } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { ServerTooOld, UnsafeDurability } from "../StoreError.ts"
import { connectionSettings } from "./ownClient.ts"
import { orUnavailable } from "./sqlErrors.ts"

/** The oldest major version that the store's laws are run on. */
export const serverMajorMin = 15

export const checkVersion = Effect.fnUntraced(function* (sql: SqlClient) {
  const [found] = yield* sql<{ readonly number: number; readonly name: string }>`SELECT
      current_setting('server_version_num')::int4 AS number, current_setting('server_version') AS name`
  const tooOld = found === undefined ? null : tooOldOf(found.number, found.name)
  if (tooOld !== null) return yield* tooOld
}, orUnavailable("checkServer"))

/** @param versionNumber as in `server_version_num`: the major version times 10,000 and the minor one */
export const tooOldOf = (versionNumber: number, name: string): ServerTooOld | null =>
  Math.floor(versionNumber / 10_000) >= serverMajorMin
    ? null
    : new ServerTooOld({ found: name, needed: serverMajorMin })

/** Acknowledged means on disk: anything less is refused, unless the operator says so. */
export const checkDurability = Effect.fnUntraced(function* (sql: SqlClient) {
  const rows = yield* sql<{ readonly name: string; readonly setting: string }>`SELECT name, setting FROM pg_settings
    WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') ORDER BY name`
  for (const { name, setting } of rows) {
    if (setting === "off") return yield* new UnsafeDurability({ setting: name, value: setting })
  }
}, orUnavailable("checkDurability"))

/**
 * Of the settings that the store's connections asked for, those that the server does not have: a pooler in between has dropped them.
 * Everything is right without them, and some of it slow: a claim may be planned as a scan.
 */
export const lostSettings = Effect.fnUntraced(function* (own: SqlClient) {
  const rows = yield* own.unsafe<{ readonly name: string; readonly setting: string; readonly account: string }>(
    `SELECT name, setting, quote_ident(current_user) AS account FROM pg_settings WHERE name = ANY($1::text[]) ORDER BY name`,
    [Object.keys(connectionSettings)]
  )
  return rows.flatMap(({ account, name, setting }) => {
    const wanted = connectionSettings[name]
    return wanted === undefined || wanted === setting
      ? []
      : [{ name, way: `ALTER ROLE ${account} SET ${name} = '${wanted}'` }]
  })
}, orUnavailable("checkSettings"))

export const warnOfLostSettings = Effect.fnUntraced(function* (own: SqlClient) {
  const lost = yield* lostSettings(own)
  if (lost.length === 0) return
  const names = lost.map(({ name }) => name).join(", ")
  const ways = lost.map(({ way }) => way).join("; ")
  yield* Effect.logWarning(
    `the server has not got ${names} from our connections, which a pooler drops: claims may be planned as scans. Give them to the account, and restart: ${ways}`
  )
})
