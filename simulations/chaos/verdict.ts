/** Reads everything that is left at the end, and has it judged. */
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { hostname } from "node:os"
import { AuditTally } from "../../src/core/audit.ts"
import { type StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import type { Fleet } from "./fleet.ts"
import type { Injected } from "./inject.ts"
import { Judge } from "./judge.ts"
import type { Revision } from "./kinds.ts"
import type { Ledger } from "./load.ts"
import type { Outside } from "./outside.ts"
import { collectRepairs, type Repairs } from "./repair.ts"

const pageTasks = 1_000

export const verdictOf = Effect.fnUntraced(function* (
  ledger: Ledger,
  outside: Outside,
  injected: ReadonlyArray<Injected>,
  fleet: Fleet
) {
  const store = yield* TaskStore
  const sessions = yield* readSessions
  const judge = new Judge({
    acknowledged: ledger.acknowledged,
    effects: yield* readEffects,
    calls: outside.calls,
    revisions: revisionsOf(sessions, fleet)
  })
  const audit = new AuditTally()
  const violations: Array<string> = []
  const repairs: Repairs = { attempts: [], claims: [] }
  const killedAtMs = killedSessions(sessions, injected)
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

type SessionRow = { readonly id: number; readonly process: string }

const readSessions = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  return yield* sql<SessionRow>`SELECT session_id AS id, process FROM duetime.session`
})

/** As sessions name it. */
const processOf = (processId: number) => `${hostname()}:${processId}`

/** When the processes died that were killed while both stores were up, by session. */
const killedSessions = (sessions: ReadonlyArray<SessionRow>, injected: ReadonlyArray<Injected>) => {
  const kills = injected.filter(({ phase }) => phase === "kills").flatMap(({ killed }) => killed)
  const killedAtMs = new Map(kills.map(({ atMs, processId }) => [processOf(processId), atMs]))
  return new Map(
    sessions.flatMap(({ id, process }) => {
      const atMs = killedAtMs.get(process)
      return atMs === undefined ? [] : [[id, atMs] as const]
    })
  )
}

const revisionsOf = (sessions: ReadonlyArray<SessionRow>, { members, revisionOf }: Fleet) => {
  const byProcess = new Map(
    members.flatMap(({ processIds }) => processIds.map((id) => [processOf(id), revisionOf(id)] as const))
  )
  return new Map(
    sessions.flatMap(({ id, process }): ReadonlyArray<readonly [number, Revision]> => {
      const revision = byProcess.get(process)
      return revision === undefined ? [] : [[id, revision]]
    })
  )
}
