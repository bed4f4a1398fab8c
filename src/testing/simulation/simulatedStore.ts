/** The memory store behind legs: the same decisions as the database's, with everything between it and a node going wrong. */
import { Effect } from "effect"
import { CurrentTransaction, MemoryTransaction } from "../../store/memory/MemoryTransaction.ts"
import type { StoreUnavailable } from "../../store/StoreError.ts"
import type { TaskStore } from "../../store/TaskStore.ts"
import type { Kernel, Owner } from "./Kernel.ts"
import type { Legs } from "./Legs.ts"
import type { Witness } from "./Witness.ts"

export const storeBehindLegs = (
  store: TaskStore["Service"],
  parts: {
    readonly kernel: Kernel
    readonly owner: Owner
    readonly legs: Legs
    readonly witness: Witness
    /** The node's wall clock. */
    readonly localMs: () => number
    readonly monotonicMs: () => number
    /** The database's clock. */
    readonly databaseMs: () => number
  }
): TaskStore["Service"] => {
  const { databaseMs, kernel, legs, localMs, monotonicMs, owner, witness } = parts
  const call = <A, E>(operation: string, apply: Effect.Effect<A, E>): Effect.Effect<A, E | StoreUnavailable> =>
    legs.call(owner, operation, apply)
  // As the real one: known from the start, off by the way of the last answer, and kept by monotonic time, so that a node whose own
  // clock is set knows the database's as before.
  let aheadMs = databaseMs() - monotonicMs()
  const drawOffset = kernel.chance.drawsOf(`offset ${owner.name}`)
  const timed = <A, E>(operation: string, apply: Effect.Effect<A, E>) =>
    Effect.tap(call(operation, apply), () =>
      Effect.sync(() => {
        aheadMs = databaseMs() - drawOffset() - monotonicMs()
      })
    )
  return {
    ...store,
    clockOffsetMs: () => monotonicMs() + aheadMs - localMs(),
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
    startDue: (request) =>
      call(
        "startDue",
        Effect.tap(store.startDue(request), (answers) => Effect.sync(() => witness.startedDue(request, answers)))
      ),
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
            committed?.effects.push(...transaction.effects)
            return value
          })
          return call("finishWith", store.finishWith(body, requestOf))
        })
      }),
    look: call("look", store.look),
    expire: (limit, asOfMs) => call("expire", store.expire(limit, asOfMs)),
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
