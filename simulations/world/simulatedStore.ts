/** The memory store behind legs: the same decisions as the database's, with everything between it and a node going wrong. */
import { Effect } from "effect"
import type { Session } from "../../src/store/Session.ts"
import type { StoreUnavailable } from "../../src/store/StoreError.ts"
import type { TaskStore } from "../../src/store/TaskStore.ts"
import { epochMs, type Kernel, type Owner } from "./Kernel.ts"
import type { Legs } from "./Legs.ts"

export const storeBehindLegs = (
  store: TaskStore["Service"],
  kernel: Kernel,
  owner: Owner,
  legs: Legs,
  localMs: () => number
): TaskStore["Service"] => {
  const call = <A, E>(operation: string, apply: Effect.Effect<A, E>): Effect.Effect<A, E | StoreUnavailable> =>
    legs.call(owner, operation, apply)
  // As the real one: known from the start, and off by the way of the last answer.
  let offsetMs = epochMs + kernel.nowMs - localMs()
  const timed = <A, E>(operation: string, apply: Effect.Effect<A, E>) =>
    Effect.tap(call(operation, apply), () =>
      Effect.sync(() => {
        offsetMs = epochMs + kernel.nowMs - kernel.chance.between(`offset ${owner.name}`, 0, 1) - localMs()
      })
    )
  return {
    ...store,
    clockOffsetMs: () => offsetMs,
    schedule: (batch) => call("schedule", store.schedule(batch)),
    claim: (request) => timed("claim", store.claim(request)),
    claimedBy: (sessionId, dueBeforeMs, limit) => timed("claimedBy", store.claimedBy(sessionId, dueBeforeMs, limit)),
    pull: (request) => call("pull", store.pull(request)),
    release: (batch) => call("release", store.release(batch)),
    start: (sessionId, batch) => call("start", store.start(sessionId, batch)),
    startDue: (request) => call("startDue", store.startDue(request)),
    startedWith: (eventIds) => call("startedWith", store.startedWith(eventIds)),
    finish: (batch) => call("finish", store.finish(batch)),
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
