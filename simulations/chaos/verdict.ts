/** Reads everything that is left at the end, and has it judged. */
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { hostname } from "node:os"
import { AuditTally } from "../../src/core/audit.ts"
import { type StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import type { Injected } from "./inject.ts"
import { Judge } from "./judge.ts"
import type { Ledger } from "./load.ts"
import type { Outside } from "./outside.ts"
import { collectRepairs, type Repairs } from "./repair.ts"

const pageTasks = 1_000

export const verdictOf = Effect.fnUntraced(function* (
  ledger: Ledger,
  outside: Outside,
  injected: ReadonlyArray<Injected>
) {
  const store = yield* TaskStore
  const judge = new Judge({ acknowledged: ledger.acknowledged, effects: yield* readEffects, calls: outside.calls })
  const audit = new AuditTally()
  const violations: Array<string> = []
  const repairs: Repairs = { attempts: [], claims: [] }
  const killedAtMs = yield* readKilledSessions(injected)
  let after: string | null = null
  while (true) {
    const page: ReadonlyArray<StoredStream> = yield* store.streams(after, pageTasks)
    for (const stream of page) {
      for (const { invariant, message, taskId } of audit.check(stream)) {
        violations.push(`${invariant} ${taskId}: ${message}`)
      }
      judge.judge(stream)
      collectRepairs(stream.events, killedAtMs, repairs)
    }
    if (page.length < pageTasks) break
    after = page.at(-1)?.taskId ?? null
  }
  judge.close()
  return { judge, streamsCount: audit.streamsCount, eventsCount: audit.eventsCount, violations, repairs }
})

export type Verdict = Effect.Success<ReturnType<typeof verdictOf>>

const readEffects = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const rows = yield* sql<{ readonly taskId: string; readonly attempts: ReadonlyArray<number> }>`
    SELECT task_id::text AS "taskId", array_agg(attempt ORDER BY attempt) AS attempts FROM chaos.effect GROUP BY task_id`
  return new Map(rows.map(({ attempts, taskId }) => [taskId, attempts]))
})

/** Sessions of the processes that were killed while both stores were up. */
const readKilledSessions = Effect.fnUntraced(function* (injected: ReadonlyArray<Injected>) {
  const sql = yield* PgClient.PgClient
  const kills = injected.filter(({ phase }) => phase === "kills").flatMap(({ killed }) => killed)
  const killedAtMs = new Map(kills.map(({ atMs, processId }) => [`${hostname()}:${processId}`, atMs]))
  const sessions = yield* sql<{ readonly id: number; readonly process: string }>`
    SELECT session_id AS id, process FROM duetime.session`
  return new Map(
    sessions.flatMap(({ id, process }) => {
      const atMs = killedAtMs.get(process)
      return atMs === undefined ? [] : [[id, atMs] as const]
    })
  )
})
