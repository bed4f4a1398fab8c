import { PgClient } from "@effect/sql-pg"
import { Effect, Result } from "effect"
import { decideAtMsOf } from "../src/core/recurrence/occurrence.ts"
import { defaultPolicies } from "../src/core/recurrence/Policies.ts"
import { compile, type Rule } from "../src/core/recurrence/Rule.ts"
import { instant, instants, int4, int4s, texts } from "../src/store/postgres/parameters.ts"

/**
 * Recurrences straight into the tables, as `create` would have left them: made one by one, a hundred thousand take minutes. Their ledgers
 * are audited as any when the run is over.
 */
export type RecurrenceLoad = {
  readonly kindId: number
  /** That come every ten seconds, at instants spread over them. */
  readonly frequent: number
  /** That come once a day, all at one instant. */
  readonly burst: number
  readonly burstAtMs: number
  /** That come once a day, at a minute of their own in a zone of theirs, and not within the next hour. */
  readonly daily: number
  readonly random: () => number
}

export const frequentEveryMs = 10_000
const dailyNotBeforeMs = 3_600_000
/** Recurrences per statement. */
const chunkRecurrences = 10_000

/** Either side of the equator, half and quarter hours, and one without changes. */
export const zones = [
  "UTC",
  "Europe/Berlin",
  "Europe/London",
  "America/New_York",
  "America/Los_Angeles",
  "America/Sao_Paulo",
  "America/St_Johns",
  "Africa/Cairo",
  "Asia/Kolkata",
  "Asia/Kathmandu",
  "Asia/Tokyo",
  "Australia/Lord_Howe"
]

/** @returns the rules that come often */
export const loadRecurrences = Effect.fnUntraced(function* (load: RecurrenceLoad) {
  const sql = yield* PgClient.PgClient
  const [clock] = yield* sql<{ readonly ms: number }>`SELECT
    floor(extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms`
  const nowMs = clock?.ms ?? 0
  const frequent = Array.from({ length: load.frequent }, (_, n) => frequentRule(n, load.random))
  const rules = [
    ...frequent,
    ...Array.from({ length: load.burst }, () => burstRule(load.burstAtMs)),
    ...Array.from({ length: load.daily }, () => dailyRule(nowMs, load.random))
  ]
  for (let from = 0; from < rules.length; from += chunkRecurrences)
    yield* insert(load.kindId, nowMs, from, rules.slice(from, from + chunkRecurrences))
  yield* sql`VACUUM (ANALYZE) duetime.recurrence`.unprepared
  return frequent
})

const insert = Effect.fnUntraced(function* (kindId: number, nowMs: number, from: number, rules: ReadonlyArray<Rule>) {
  const sql = yield* PgClient.PgClient
  const ids = yield* sql<{ readonly id: number }>`SELECT
    nextval(pg_get_serial_sequence('duetime.recurrence', 'recurrence_id'))::int4 AS id FROM generate_series(1, ${int4(rules.length)}::int4)`
  const nexts = rules.map((rule) => nextOf(rule)(nowMs))
  const decides = nexts.map((nextMs, index) =>
    nextMs === null ? null : decideAtMsOf(ids[index]?.id ?? 0, nextMs, defaultPolicies.overlap === "allow")
  )
  yield* sql.unsafe(
    `WITH made AS (
        SELECT * FROM unnest($1::int4[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[]) AS m (recurrence_id, name, rule, next_at, decide_at)
      ), revised AS (
        INSERT INTO duetime.recurrence_revision (recurrence_id, revision, from_at, is_paused, digest, rule, policies)
        SELECT recurrence_id, 1, $6::timestamptz, false, name, rule::jsonb, $8::jsonb FROM made
      )
      INSERT INTO duetime.recurrence (recurrence_id, name, kind_id, digest, rule, policies, payload, revision, created_at, revised_at, settled_until, next_at, decide_at)
      OVERRIDING SYSTEM VALUE
      SELECT recurrence_id, name, $7::int4, name, rule::jsonb, $8::jsonb, '{"workMs": 0}', 1, $6::timestamptz, $6::timestamptz, $6::timestamptz, next_at, decide_at FROM made`,
    [
      int4s(ids.map(({ id }) => id)),
      texts(rules.map((_, index) => `bench-${from + index}`)),
      texts(rules.map((rule) => JSON.stringify(rule))),
      instants(nexts),
      instants(decides),
      instant(nowMs),
      int4(kindId),
      JSON.stringify(defaultPolicies)
    ]
  )
})

/** Half of them intervals with milliseconds of their own, half of them cron expressions in zones, which come at whole seconds. */
const frequentRule = (n: number, random: () => number): Rule => {
  if (n % 2 === 0)
    return { _tag: "Interval", everyMs: frequentEveryMs, anchorMs: Math.floor(random() * frequentEveryMs) }
  const second = Math.floor(random() * 10)
  const seconds = [0, 10, 20, 30, 40, 50].map((from) => from + second).join(",")
  return cron(`${seconds} * * * * *`, zones[n % zones.length] ?? "UTC")
}

const burstRule = (atMs: number): Rule => {
  const at = new Date(atMs)
  return cron(`${at.getUTCSeconds()} ${at.getUTCMinutes()} ${at.getUTCHours()} * * *`, "UTC")
}

const dailyRule = (nowMs: number, random: () => number): Rule => {
  while (true) {
    const zone = zones[Math.floor(random() * zones.length)] ?? "UTC"
    const rule = cron(`${Math.floor(random() * 60)} ${Math.floor(random() * 24)} * * *`, zone)
    if ((nextOf(rule)(nowMs) ?? 0) > nowMs + dailyNotBeforeMs) return rule
  }
}

const cron = (expression: string, zone: string): Rule => ({
  _tag: "Cron",
  expression,
  zone,
  gap: "shift",
  fold: "first"
})

const nexts = new Map<string, (afterMs: number) => number | null>()

/** Some ten thousand rules stand for a hundred thousand recurrences. */
export const nextOf = (rule: Rule): ((afterMs: number) => number | null) => {
  const text = JSON.stringify(rule)
  const known = nexts.get(text)
  if (known !== undefined) return known
  const { next } = Result.getOrThrow(compile(rule))
  nexts.set(text, next)
  return next
}
