import * as Effect from "effect/Effect"
import type { AuditedStream, Violation } from "../core/audit.ts"
import type { Projections } from "../store/Projections.ts"

/** What the ends of a page of streams have scheduled, and which ends have scheduled them: with the streams they name, read for it. */
export const linkFindings = Effect.fnUntraced(function* (
  projections: Projections["Service"],
  page: ReadonlyArray<AuditedStream>
) {
  const { auditFollowUps, linkedIdsOf } = yield* Effect.promise(() => import("../core/audit.ts"))
  const linkedIds = new Set(page.flatMap(linkedIdsOf))
  if (linkedIds.size === 0) return []
  const byId = new Map(page.map((stream) => [stream.taskId, stream]))
  const { historyFromMs, streams } = yield* projections.linked([...linkedIds].filter((taskId) => !byId.has(taskId)))
  for (const stream of streams) byId.set(stream.taskId, stream)
  return page.flatMap((stream): ReadonlyArray<Violation> =>
    auditFollowUps(stream, (taskId) => byId.get(taskId), historyFromMs)
  )
})
