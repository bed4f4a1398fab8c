import { Effect } from "effect"
import { AuditTally } from "../src/core/audit.ts"
import { type StoredStream, TaskStore } from "../src/store/TaskStore.ts"

/** Violations of what duetime promises, in all streams of the database. */
export const violations = Effect.gen(function* () {
  const store = yield* TaskStore
  const tally = new AuditTally({})
  let after: string | null = null
  while (true) {
    const page: ReadonlyArray<StoredStream> = yield* store.streams(after, pageTasks)
    for (const stream of page) tally.check(stream)
    if (page.length < pageTasks) break
    after = page.at(-1)?.taskId ?? null
  }
  return tally.violationsCount
})

const pageTasks = 1_000
