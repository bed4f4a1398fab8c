/** The memory store behind legs: the same decisions as the database's, with everything between it and a node going wrong. */
import { Effect } from "effect"
import { CurrentTransaction, MemoryTransaction } from "../../src/store/memory/MemoryTransaction.ts"
import type { Session } from "../../src/store/Session.ts"
import type { StoreUnavailable } from "../../src/store/StoreError.ts"
import type { TaskStore } from "../../src/store/TaskStore.ts"
import { epochMs, type Kernel, type Owner } from "./Kernel.ts"
import type { Legs } from "./Legs.ts"
import type { Witness } from "./witness.ts"

export const storeBehindLegs = (
  store: TaskStore["Service"],
  parts: {
    readonly kernel: Kernel
    readonly owner: Owner
    readonly legs: Legs
    readonly witness: Witness
    readonly localMs: () => number
  }
): TaskStore["Service"] => {
  const { kernel, legs, localMs, owner, witness } = parts
  const call = <A, E>(operation: string, apply: Effect.Effect<A, E>): Effect.Effect<A, E | StoreUnavailable> =>
    legs.call(owner, operation, apply)
  // As the real one: known from the start, and off by the way of the last answer.
  let offsetMs = epochMs + kernel.nowMs - localMs()
  const drawOffset = kernel.chance.drawsOf(`offset ${owner.name}`)
  const timed = <A, E>(operation: string, apply: Effect.Effect<A, E>) =>
    Effect.tap(call(operation, apply), () =>
      Effect.sync(() => {
        offsetMs = epochMs + kernel.nowMs - drawOffset() - localMs()
      })
    )
  return {
    ...store,
    clockOffsetMs: () => offsetMs,
    // The step is taken elsewhere, so the caller's transaction goes along.
    schedule: (batch) =>
      Effect.flatMap(CurrentTransaction, (transaction) =>
        call("schedule", Effect.provideService(store.schedule(batch), CurrentTransaction, transaction))
      ),
    claim: (request) =>
      timed(
        "claim",
        Effect.tap(store.claim(request), (claimed) => Effect.sync(() => witness.claimed(request, claimed)))
      ),
    claimedBy: (sessionId, dueBeforeMs, limit) => timed("claimedBy", store.claimedBy(sessionId, dueBeforeMs, limit)),
    pull: (request) => call("pull", store.pull(request)),
    release: (batch) => call("release", store.release(batch)),
    start: (sessionId, batch) =>
      call(
        "start",
        Effect.tap(store.start(sessionId, batch), (answers) =>
          Effect.sync(() => witness.started(sessionId, batch, answers))
        )
      ),
    startDue: (request) => call("startDue", store.startDue(request)),
    startedWith: (eventIds) => call("startedWith", store.startedWith(eventIds)),
    finish: (batch) =>
      call(
        "finish",
        Effect.tap(store.finish(batch), (answers) => Effect.sync(() => witness.finished(answers)))
      ),
    // The body runs on the node, in an open transaction; the commit is one step of the database.
    finishWith: (effect, requestOf) =>
      Effect.suspend(() => {
        const transaction = new MemoryTransaction()
        return Effect.flatMap(Effect.provideService(effect, CurrentTransaction, transaction), (value) => {
          const body = Effect.map(CurrentTransaction, (committed) => {
            for (const task of transaction.tasks) committed?.add(task)
            return value
          })
          return call("finishWith", store.finishWith(body, requestOf))
        })
      }),
    anyExpired: call("anyExpired", store.anyExpired),
    expire: (limit) => call("expire", store.expire(limit)),
    expireTasks: (limit) => call("expireTasks", store.expireTasks(limit)),
    takeParked: (request) => call("takeParked", store.takeParked(request)),
    reconcile: (request) => call("reconcile", store.reconcile(request)),
    act: (taskId, eventId, wish) => call("act", store.act(taskId, eventId, wish)),
    pause: (target, isPaused) => call("pause", store.pause(target, isPaused)),
    history: (taskId) => call("history", store.history(taskId)),
    find: (filter) => call("find", store.find(filter)),
    kinds: call("kinds", store.kinds),
    backlog: call("backlog", store.backlog),
    maintain: call("maintain", store.maintain)
  }
}

export const sessionBehindLegs = (session: Session["Service"], owner: Owner, legs: Legs): Session["Service"] => ({
  ...session,
  serve: (policies) => legs.call(owner, "serve", session.serve(policies))
})
