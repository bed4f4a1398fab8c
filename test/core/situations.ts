import type { KindPolicy } from "../../src/core/KindPolicy.ts"
import type { Stage } from "../../src/core/TaskState.ts"
import {
  cancel,
  claim,
  discard,
  discardDead,
  expire,
  expireTask,
  fail,
  failForGood,
  redrive,
  release,
  releaseClaim,
  reprioritise,
  reschedule,
  runNow,
  schedule,
  snooze,
  start,
  startMs,
  succeed,
  TaskActor,
  wasDone,
  wasNotDone,
  type Intent
} from "./TaskActor.ts"

const hourMs = 3_600_000
export const atOnce: Partial<KindPolicy> = {
  retry: { attemptsMax: 2, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" }
}

/** An actor in each stage, with what its guards look at: cancel request, charged attempts, priority, due time. */
export const reached: ReadonlyArray<readonly [Stage | "none", string, () => TaskActor]> = [
  ["none", "unborn", () => new TaskActor(atOnce)],
  ["pending", "due", () => new TaskActor(atOnce).lives(schedule())],
  ["pending", "not due", () => new TaskActor(atOnce).lives(schedule({ dueAtMs: startMs + hourMs }))],
  ["claimed", "due", () => new TaskActor(atOnce).lives(schedule(), claim)],
  ["claimed", "not due", () => new TaskActor(atOnce).lives(schedule({ dueAtMs: startMs + hourMs }), claim)],
  ["running", "first attempt", () => new TaskActor(atOnce).lives(schedule(), claim, start)],
  ["running", "last attempt", () => new TaskActor(atOnce).lives(schedule(), claim, start, fail, claim, start)],
  ["running", "last death", () => new TaskActor({ ...atOnce, deathsMax: 1 }).lives(schedule(), claim, start)],
  ["running", "cancel requested", () => new TaskActor(atOnce).lives(schedule(), claim, start, cancel)],
  ["running", "parks", () => parking().lives(schedule(), claim, start)],
  ["running", "parks, cancel requested", () => parking().lives(schedule(), claim, start, cancel)],
  ["parked", "", () => parking().lives(schedule(), claim, start, expire)],
  ["parked", "last attempt", () => parking().lives(schedule(), claim, start, expire, wasNotDone, claim, start, expire)],
  ["parked", "cancel requested", () => parking().lives(schedule(), claim, start, cancel, expire)],
  ["dead", "", () => new TaskActor(atOnce).lives(schedule(), claim, start, discard)],
  ["succeeded", "", () => new TaskActor(atOnce).lives(schedule(), claim, start, succeed)],
  ["pending", "expiring", () => new TaskActor(atOnce).lives(expiring())],
  ["pending", "too late", () => new TaskActor(atOnce).lives(expiring()).waits(hourMs)],
  ["claimed", "too late", () => new TaskActor(atOnce).lives(expiring(), claim).waits(hourMs)],
  ["running", "too late", () => new TaskActor(atOnce).lives(expiring(), claim, start).waits(hourMs)],
  ["parked", "too late", () => parking().lives(expiring(), claim, start, expire).waits(hourMs)],
  ["dead", "too late", () => new TaskActor(atOnce).lives(expiring(), claim, start, discard).waits(hourMs)],
  ["expired", "", () => new TaskActor(atOnce).lives(expiring()).waits(hourMs).lives(expireTask)],
  ["cancelled", "", () => new TaskActor(atOnce).lives(schedule(), cancel)]
]

/** Its last instant is half an hour after it is due. */
const expiring = () => schedule({ expiresAtMs: startMs + hourMs / 2 })

const parking = () => new TaskActor({ ...atOnce, onInterrupted: "park" })

export const intents: ReadonlyArray<Intent> = [
  schedule(),
  claim,
  releaseClaim,
  start,
  succeed,
  fail,
  failForGood,
  snooze,
  discard,
  release,
  expire,
  expireTask,
  wasDone,
  wasNotDone,
  cancel,
  reschedule,
  reprioritise,
  { _tag: "Reprioritise", priority: "normal" },
  runNow,
  redrive,
  discardDead
]
