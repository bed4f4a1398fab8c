import { Effect } from "effect"
import { defaultKindPolicy } from "../../src/core/KindPolicy.ts"
import type { Outcome } from "../../src/core/TaskCommand.ts"
import { Ids } from "../../src/store/Ids.ts"
import { Session } from "../../src/store/Session.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"

/** One attempt of everything that is due of a kind, up to 1,000 tasks, by a worker that answers at once. */
export const attemptNow = Effect.fnUntraced(function* (kind: string, outcome: Outcome) {
  const store = yield* TaskStore
  const session = yield* Session
  const { eventId } = yield* Ids
  const policy = defaultKindPolicy(kind)
  yield* session.serve([policy])
  const { tasks } = yield* store.claim({ sessionId: session.id(), kinds: [kind], lookAheadMs: 0, limit: 1_000 })
  const started = yield* store.start(
    session.id(),
    tasks.map((task) => ({ ...task, eventId: eventId(), timeoutMs: policy.timeoutMs, dispatchedAtMs: null }))
  )
  yield* store.finish(
    started.flatMap((answer) =>
      answer._tag === "Started" ? [{ started: answer, eventId: eventId(), outcome, policy }] : []
    )
  )
})
