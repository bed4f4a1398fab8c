/**
 * An operation as fast-check draws it: what to do, with numbers where a task or a fence has to be chosen. Which one a number means is
 * found when its turn comes, on the state that the spec is in then (resolve.ts). So any part of a sequence can be left out, and what
 * is left still means something: that is why shrinking needs no preconditions and no path of its own, as `fc.commands` would.
 */
import * as fc from "fast-check"
import type { Outcome, Reconciliation } from "../../src/core/TaskCommand.ts"
import type { Json, ReleaseReason } from "../../src/core/TaskEvent.ts"
import type { PriorityWord } from "./facts.ts"

/** 0 means what fits best. */
type Pick = number

export type NewDraw = {
  readonly kind: Pick
  readonly priority: PriorityWord
  /** From now. */
  readonly dueInMs: number
  /** From the due time; null: never too late. */
  readonly expiresInMs: number | null
  readonly key: string | null
  readonly keyKeptMs: number | null
  readonly payload: Json
  readonly next: "none" | "onSuccess" | "onDead" | "both"
  readonly nextInMs: number
}

export type Draw =
  | { readonly tag: "Tick"; readonly ms: number }
  | { readonly tag: "Schedule"; readonly tasks: ReadonlyArray<NewDraw> }
  | {
      readonly tag: "Claim"
      readonly session: Pick
      readonly kinds: Pick
      readonly lanes: "all" | "urgent" | "lowest"
      readonly lookAheadMs: number
      readonly limit: number
      readonly concurrencyMax: number | null
    }
  | { readonly tag: "ClaimedBy"; readonly session: Pick; readonly dueInMs: number }
  | {
      readonly tag: "Pull"
      readonly kinds: Pick
      readonly overdueMs: number
      readonly limit: number
      readonly fromLowest: number
      readonly suspectsMax: number
    }
  | { readonly tag: "Unclaim"; readonly claims: ReadonlyArray<Pick>; readonly reason: ReleaseReason }
  | {
      readonly tag: "Start"
      readonly session: Pick
      readonly claims: ReadonlyArray<Pick>
      readonly timeoutMs: number
      readonly isDispatched: boolean
    }
  | {
      readonly tag: "StartDue"
      readonly session: Pick
      readonly kinds: Pick
      readonly timeoutMs: number
      readonly limit: number
    }
  | { readonly tag: "StartedWith"; readonly starts: ReadonlyArray<Pick> }
  | { readonly tag: "Finish"; readonly starts: ReadonlyArray<{ readonly start: Pick; readonly outcome: Outcome }> }
  | {
      readonly tag: "FinishWith"
      readonly start: Pick
      readonly outcome: Outcome
      readonly tasks: ReadonlyArray<NewDraw>
    }
  | { readonly tag: "AnyExpired" | "Expire" | "ExpireTasks" }
  | { readonly tag: "TakeParked"; readonly kinds: Pick }
  | { readonly tag: "Reconcile"; readonly parking: Pick; readonly answer: Reconciliation }
  | { readonly tag: "Act"; readonly task: Pick; readonly wish: WishDraw }
  | { readonly tag: "Pause"; readonly isQueue: boolean; readonly which: Pick; readonly isPaused: boolean }
  | { readonly tag: "RelayDead"; readonly isHeard: boolean }
  | { readonly tag: "Ends" }
  | { readonly tag: "Kill" | "Leave"; readonly session: Pick }
  /** The same request again, as after a lost answer. */
  | { readonly tag: "Repeat"; readonly back: Pick }

export type WishDraw =
  | { readonly tag: "Cancel"; readonly reason: string | null }
  | { readonly tag: "Reschedule"; readonly dueInMs: number }
  | { readonly tag: "Reprioritise"; readonly priority: PriorityWord }
  | { readonly tag: "RunNow" }
  | { readonly tag: "Redrive" }

/** Mostly what fits best, now and then anything. */
const pick = fc.oneof({ weight: 6, arbitrary: fc.nat(1) }, { weight: 1, arbitrary: fc.nat(12) })
const session = fc.oneof({ weight: 6, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(2) })
const priority = fc.constantFrom<PriorityWord>("normal", "critical", "high", "low")
const limit = fc.constantFrom(1_000, 1_000, 2, 1)
const timeoutMs = fc.constantFrom(60_000, 400, 5_000)
const json = fc.constantFrom<Json>(null, 1, { a: 1, b: [true, "ü"] }, { b: [true, "ü"], a: 1 }, "text")

const newTask: fc.Arbitrary<NewDraw> = fc.record({
  kind: fc.nat(3),
  priority,
  dueInMs: fc.constantFrom(-500, 0, 0, -800, -5_000, 1, 300, 2_500, 90_000_000),
  expiresInMs: fc.oneof({ weight: 4, arbitrary: fc.constant(null) }, fc.constantFrom(1_000, 5_000, 20_000)),
  key: fc.oneof({ weight: 2, arbitrary: fc.constant(null) }, fc.constantFrom("a", "b")),
  keyKeptMs: fc.constantFrom(null, 0, 1_000),
  payload: json,
  next: fc.oneof(
    { weight: 3, arbitrary: fc.constant("none" as const) },
    fc.constantFrom("onSuccess", "onDead", "both")
  ),
  nextInMs: fc.constantFrom(0, 250, 90_000_000)
})

const outcome: fc.Arbitrary<Outcome> = fc.oneof(
  { weight: 3, arbitrary: fc.record({ _tag: fc.constant("Succeed" as const), result: json }) },
  {
    weight: 4,
    arbitrary: fc.record({
      _tag: fc.constant("Fail" as const),
      error: fc.constantFrom({ name: "Error", message: "no" }, { name: "Refused", message: "", stack: "at line 1" }),
      retryable: fc.constantFrom(true, true, false),
      retryInMs: fc.constantFrom(null, null, 0, 150, 90_000)
    })
  },
  fc.record({ _tag: fc.constant("Snooze" as const), inMs: fc.constantFrom(0, 200, 3_000) }),
  fc.record({ _tag: fc.constant("Discard" as const), reason: fc.constantFrom("worthless", "") }),
  fc.record({
    _tag: fc.constant("Release" as const),
    reason: fc.constantFrom<ReleaseReason>("drained", "unserved", "paused")
  })
)

const wish: fc.Arbitrary<WishDraw> = fc.oneof(
  fc.record({ tag: fc.constant("Cancel" as const), reason: fc.constantFrom(null, "not wanted") }),
  fc.record({
    tag: fc.constant("Reschedule" as const),
    dueInMs: fc.constantFrom(0, -300, 400, 5_000, 90_000_000)
  }),
  fc.record({ tag: fc.constant("Reprioritise" as const), priority }),
  fc.record({ tag: fc.constant("RunNow" as const) }),
  fc.record({ tag: fc.constant("Redrive" as const) })
)

export const schedule = fc.record({
  tag: fc.constant("Schedule" as const),
  tasks: fc.array(newTask, { minLength: 1, maxLength: 3 })
})
const claim = fc.record({
  tag: fc.constant("Claim" as const),
  session,
  kinds: fc.oneof({ weight: 5, arbitrary: fc.constant(0) }, fc.nat(4)),
  lanes: fc.constantFrom("all", "all", "all", "urgent", "lowest"),
  lookAheadMs: fc.constantFrom(500, 0, 4_000),
  limit,
  concurrencyMax: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, fc.nat(2))
})
const start = fc.record({
  tag: fc.constant("Start" as const),
  session,
  claims: fc.array(pick, { minLength: 1, maxLength: 3 }),
  timeoutMs,
  isDispatched: fc.boolean()
})
const finish = fc.record({
  tag: fc.constant("Finish" as const),
  starts: fc.array(fc.record({ start: pick, outcome }), { minLength: 1, maxLength: 2 })
})
const act = fc.record({ tag: fc.constant("Act" as const), task: pick, wish })
const startDue = fc.record({
  tag: fc.constant("StartDue" as const),
  session,
  kinds: fc.nat(5),
  timeoutMs,
  limit: fc.constantFrom(3, 1)
})
const unclaim = fc.record({
  tag: fc.constant("Unclaim" as const),
  claims: fc.array(pick, { minLength: 1, maxLength: 2 }),
  reason: fc.constantFrom<ReleaseReason>("drained", "unserved", "paused")
})
const finishWith = fc.record({
  tag: fc.constant("FinishWith" as const),
  start: pick,
  outcome,
  tasks: fc.array(newTask, { maxLength: 2 })
})
const bare = <Tag extends string>(tag: Tag) => fc.record({ tag: fc.constant(tag) })
const reconcile = fc.record({
  tag: fc.constant("Reconcile" as const),
  parking: pick,
  answer: fc.oneof(
    fc.record({ _tag: fc.constant("Done" as const), result: json }),
    fc.record({ _tag: fc.constant("NotDone" as const) })
  )
})
const pause = fc.record({
  tag: fc.constant("Pause" as const),
  isQueue: fc.boolean(),
  which: fc.nat(3),
  isPaused: fc.constantFrom(false, false, true)
})
const repeat = fc.record({ tag: fc.constant("Repeat" as const), back: fc.nat(6) })
const tick = fc.record({
  tag: fc.constant("Tick" as const),
  ms: fc.constantFrom(300, 1, 0.5, 700.5, 1_000, 4_000, 16_000)
})
const die = fc.record({ tag: fc.constantFrom("Kill" as const, "Leave" as const), session: fc.constantFrom(1, 2, 2, 0) })

/** What changes tasks, and can be done at the same time. */
export const moving: fc.Arbitrary<Draw> = fc.oneof(
  { weight: 3, arbitrary: schedule },
  { weight: 8, arbitrary: claim },
  { weight: 10, arbitrary: start },
  { weight: 8, arbitrary: finish },
  { weight: 6, arbitrary: act },
  { weight: 1, arbitrary: startDue },
  { weight: 1, arbitrary: unclaim },
  { weight: 1, arbitrary: finishWith },
  { weight: 2, arbitrary: bare("Expire") },
  { weight: 1, arbitrary: bare("ExpireTasks") },
  { weight: 2, arbitrary: reconcile },
  { weight: 1, arbitrary: pause }
)

const first = fc.constantFrom(0, 0, 1)

/** What takes several statements in one transaction, and so holds its locks for a while, of the tasks that fit best. */
export const holding: fc.Arbitrary<Draw> = fc.oneof(
  { weight: 6, arbitrary: fc.record({ tag: fc.constant("Act" as const), task: first, wish }) },
  {
    weight: 2,
    arbitrary: fc.record({ tag: fc.constant("FinishWith" as const), start: first, outcome, tasks: fc.constant([]) })
  },
  { weight: 2, arbitrary: bare("Expire") },
  { weight: 1, arbitrary: bare("ExpireTasks") },
  { weight: 1, arbitrary: reconcile }
)

export const draw: fc.Arbitrary<Draw> = fc.oneof(
  { weight: 30, arbitrary: moving },
  { weight: 7, arbitrary: tick },
  { weight: 2, arbitrary: die },
  { weight: 2, arbitrary: repeat },
  { weight: 1, arbitrary: bare("AnyExpired") },
  { weight: 1, arbitrary: bare("Ends") },
  { weight: 1, arbitrary: fc.record({ tag: fc.constant("RelayDead" as const), isHeard: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ tag: fc.constant("TakeParked" as const), kinds: fc.nat(5) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      tag: fc.constant("StartedWith" as const),
      starts: fc.array(pick, { minLength: 1, maxLength: 2 })
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      tag: fc.constant("ClaimedBy" as const),
      session,
      dueInMs: fc.constantFrom(1_000, 0, 90_000_000)
    })
  },
  {
    weight: 1,
    arbitrary: fc.record({
      tag: fc.constant("Pull" as const),
      kinds: fc.nat(5),
      overdueMs: fc.constantFrom(0, 250),
      limit,
      fromLowest: fc.nat(1),
      suspectsMax: fc.nat(1)
    })
  }
)
