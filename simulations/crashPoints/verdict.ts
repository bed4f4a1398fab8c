/** Reads everything that is left at the end and judges it: all tasks by the oracles of chaos, and each point by what followed its hits. */
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { hostname } from "node:os"
import { AuditTally } from "../../src/core/audit.ts"
import { type StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import { type Finding, Judge } from "../chaos/judge.ts"
import type { Ledger } from "../chaos/load.ts"
import type { Outside } from "../chaos/outside.ts"
import { foundOf, heldBySessions } from "./follow.ts"
import { Any, Doomed, kindOf, type PointKind } from "./kinds.ts"
import type { Found, Point } from "./points.ts"
import type { Held, Hit } from "./Trigger.ts"

const pageTasks = 1_000

/** What was found after the hits of a point, and what of it nobody has promised. */
export type Followed = {
  readonly found: Map<Found, number>
  readonly unexpected: Array<string>
  readonly taskIds: Set<string>
}

export const verdictOf = Effect.fnUntraced(function* (
  ledger: Ledger,
  outside: Outside,
  points: ReadonlyArray<Point>,
  hits: ReadonlyArray<Hit>
) {
  const store = yield* TaskStore
  const kinds = kindsOf(points)
  const judge = new Judge({
    acknowledged: ledger.acknowledged,
    effects: yield* readEffects,
    calls: outside.calls,
    // All are of one.
    revisions: new Map()
  })
  const audit = new AuditTally({ policyOf: (kind) => kinds.get(kind)?.policy })
  const violations: Array<string> = []
  const followed = new Map(
    points.map(({ name }): [string, Followed] => [
      name,
      { found: new Map<Found, number>(), unexpected: [], taskIds: new Set<string>() }
    ])
  )
  const heldOf = Map.groupBy(
    hits.flatMap(({ held, point }) => held.map((one) => ({ held: one, point }))),
    ({ held }) => held.taskId
  )
  const renewing = points.find(({ place }) => place === "renewal sent")
  const sessions = yield* readSessions(hits.filter(({ point }) => point === renewing?.name))
  const follow = (point: Point | undefined, held: Held, stream: StoredStream) => {
    const into = followed.get(point?.name ?? "")
    if (point === undefined || into === undefined) return
    const found = foundOf(held, stream.events)
    into.found.set(found, (into.found.get(found) ?? 0) + 1)
    into.taskIds.add(held.taskId)
    if (!point.allowed.includes(found)) {
      into.unexpected.push(`${held.taskId}: after version ${held.version} it was ${found}`)
    }
  }

  let after: string | null = null
  while (true) {
    const page: ReadonlyArray<StoredStream> = yield* store.streams(after, pageTasks)
    for (const stream of page) {
      for (const { invariant, message, taskId } of audit.check(stream)) {
        violations.push(`${invariant} ${taskId}: ${message}`)
      }
      judge.judge(asJudged(stream, kinds))
      for (const { held, point } of heldOf.get(stream.taskId) ?? []) {
        follow(
          points.find(({ name }) => name === point),
          held,
          stream
        )
      }
      if (sessions.size === 0) continue
      for (const held of heldBySessions(stream.taskId, stream.events, sessions)) follow(renewing, held, stream)
    }
    if (page.length < pageTasks) break
    after = page.at(-1)?.taskId ?? null
  }
  judge.close()
  return { judge, audit, violations, followed, unannouncedCount: yield* readUnannounced }
})

export type Verdict = Effect.Success<ReturnType<typeof verdictOf>>

/** What the oracles have found of the tasks that a point has held. */
export const findingsOf = (findings: ReadonlyArray<Finding>, { taskIds }: Followed, oracle: Finding["oracle"]) =>
  findings.filter((finding) => finding.oracle === oracle && taskIds.has(finding.taskId)).length

const kindsOf = (points: ReadonlyArray<Point>): ReadonlyMap<string, PointKind> =>
  new Map(
    [Any, Doomed, ...points.flatMap(({ family, name }) => (family === null ? [] : [kindOf(name, family)]))].map(
      (kind) => [kind.kind, kind]
    )
  )

/** The judge of chaos knows its own kinds: a point's kind is judged as the one whose promise it shares. */
const asJudged = (stream: StoredStream, kinds: ReadonlyMap<string, PointKind>): StoredStream => ({
  ...stream,
  events: stream.events.map((event) =>
    event._tag === "TaskScheduled" ? { ...event, kind: kinds.get(event.kind)?.judgedAs ?? event.kind } : event
  )
})

const readEffects = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ readonly taskId: string; readonly attempts: ReadonlyArray<number> }>`
    SELECT task_id::text AS "taskId", array_agg(attempt ORDER BY attempt) AS attempts FROM points.effect GROUP BY task_id`
  return new Map(rows.map(({ attempts, taskId }) => [taskId, attempts]))
})

const readUnannounced = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const [row] = yield* sql<{
    readonly count: number
  }>`SELECT count(*)::int4 AS count FROM duetime.dead_letter WHERE announced_at IS NULL`
  return row?.count ?? 0
})

const readSessions = Effect.fnUntraced(function* (hits: ReadonlyArray<Hit>) {
  const sql = yield* PgClient.PgClient
  const processes = new Set(hits.map(({ processId }) => `${hostname()}:${processId}`))
  const rows = yield* sql<{ readonly id: number; readonly process: string }>`
    SELECT session_id AS id, process FROM duetime.session`
  return new Set(rows.filter(({ process }) => processes.has(process)).map(({ id }) => id))
})
