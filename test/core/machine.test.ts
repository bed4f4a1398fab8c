import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { decide } from "../../src/core/decide.ts"
import { deathsMaxLimit } from "../../src/core/deaths.ts"
import type { KindPolicy } from "../../src/core/KindPolicy.ts"
import type { RetryPolicy } from "../../src/core/RetryPolicy.ts"
import { machine } from "../../src/core/machine.ts"
import { payloadOf } from "../../src/core/payloadOf.ts"
import type { EventTag } from "../../src/core/TaskEvent.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import { atOnce, intents, reached } from "./situations.ts"
import {
  cancel,
  claim,
  discard,
  expire,
  expireLeft,
  expireTask,
  fail,
  fencedTags,
  noFence,
  redrive,
  release,
  releaseClaim,
  reprioritise,
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

/**
 * What a person reading the machine's table expects, written down apart from it: for each situation the commands that
 * append an event or are already fulfilled. Whatever is not here is rejected.
 */
const expected: Readonly<Record<string, Readonly<Record<string, EventTag | "already so">>>> = {
  "none unborn": { Schedule: "TaskScheduled" },
  "pending due": {
    Claim: "TaskClaimed",
    Cancel: "TaskCancelled",
    Reschedule: "TaskRescheduled",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so",
    RunNow: "already so"
  },
  "pending not due": {
    Claim: "TaskClaimed",
    Cancel: "TaskCancelled",
    Reschedule: "TaskRescheduled",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so",
    RunNow: "TaskRescheduled"
  },
  "claimed due": {
    ReleaseClaim: "ClaimReleased",
    Start: "AttemptStarted",
    Expire: "ClaimReleased",
    Cancel: "TaskCancelled",
    Reschedule: "TaskRescheduled",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so",
    RunNow: "already so"
  },
  "claimed not due": {
    ReleaseClaim: "ClaimReleased",
    Expire: "ClaimReleased",
    Cancel: "TaskCancelled",
    Reschedule: "TaskRescheduled",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so",
    RunNow: "TaskRescheduled"
  },
  "running first attempt": {
    Succeed: "AttemptSucceeded",
    Fail: "AttemptFailed",
    "Fail for good": "TaskDeadLettered",
    Snooze: "AttemptSnoozed",
    Discard: "TaskDeadLettered",
    Release: "AttemptReleased",
    Expire: "AttemptExpired",
    Cancel: "CancelRequested",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so"
  },
  "running last attempt": {
    Succeed: "AttemptSucceeded",
    Fail: "TaskDeadLettered",
    "Fail for good": "TaskDeadLettered",
    Snooze: "AttemptSnoozed",
    Discard: "TaskDeadLettered",
    Release: "AttemptReleased",
    Expire: "TaskDeadLettered",
    Cancel: "CancelRequested",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so"
  },
  "running last death": {
    Succeed: "AttemptSucceeded",
    Fail: "AttemptFailed",
    "Fail for good": "TaskDeadLettered",
    Snooze: "AttemptSnoozed",
    Discard: "TaskDeadLettered",
    Release: "AttemptReleased",
    Expire: "TaskDeadLettered",
    Cancel: "CancelRequested",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so"
  },
  "running cancel requested": {
    Succeed: "AttemptSucceeded",
    Fail: "TaskCancelled",
    "Fail for good": "TaskCancelled",
    Snooze: "TaskCancelled",
    Discard: "TaskCancelled",
    Release: "TaskCancelled",
    Expire: "TaskCancelled",
    Cancel: "already so",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so"
  },
  "running parks": {
    Succeed: "AttemptSucceeded",
    Fail: "AttemptFailed",
    "Fail for good": "TaskDeadLettered",
    Snooze: "AttemptSnoozed",
    Discard: "TaskDeadLettered",
    Release: "AttemptReleased",
    Expire: "TaskParked",
    Cancel: "CancelRequested",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so"
  },
  "running parks, cancel requested": {
    Succeed: "AttemptSucceeded",
    Fail: "TaskCancelled",
    "Fail for good": "TaskCancelled",
    Snooze: "TaskCancelled",
    Discard: "TaskCancelled",
    Release: "TaskCancelled",
    Expire: "TaskParked",
    Cancel: "already so",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so"
  },
  parked: {
    "Reconcile done": "TaskReconciled",
    "Reconcile not done": "TaskResumed",
    Cancel: "TaskCancelled",
    RunNow: "TaskResumed"
  },
  "parked last attempt": {
    "Reconcile done": "TaskReconciled",
    "Reconcile not done": "TaskDeadLettered",
    Cancel: "TaskCancelled",
    RunNow: "TaskResumed"
  },
  "parked cancel requested": {
    "Reconcile done": "TaskReconciled",
    "Reconcile not done": "TaskCancelled",
    Cancel: "TaskCancelled",
    RunNow: "TaskCancelled"
  },
  dead: { Redrive: "TaskRedriven", DiscardDead: "TaskCancelled" },
  "pending expiring": {
    Claim: "TaskClaimed",
    Cancel: "TaskCancelled",
    Reschedule: "TaskRescheduled",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so",
    RunNow: "already so"
  },
  "pending too late": {
    Claim: "TaskClaimed",
    ExpireTask: "TaskExpired",
    Cancel: "TaskCancelled",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so",
    RunNow: "already so"
  },
  "claimed too late": {
    ReleaseClaim: "ClaimReleased",
    Expire: "ClaimReleased",
    ExpireTask: "TaskExpired",
    Cancel: "TaskCancelled",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so",
    RunNow: "already so"
  },
  "running too late": {
    Succeed: "AttemptSucceeded",
    Fail: "TaskExpired",
    "Fail for good": "TaskDeadLettered",
    Snooze: "TaskExpired",
    Discard: "TaskDeadLettered",
    Release: "TaskExpired",
    Expire: "TaskExpired",
    Cancel: "CancelRequested",
    "Reprioritise critical": "TaskReprioritised",
    "Reprioritise normal": "already so"
  },
  "parked too late": {
    "Reconcile done": "TaskReconciled",
    "Reconcile not done": "TaskExpired",
    Cancel: "TaskCancelled"
  },
  "dead too late": { DiscardDead: "TaskCancelled" },
  expired: {},
  succeeded: {},
  cancelled: { Cancel: "already so" }
}

describe("the machine, every stage by every command", () => {
  for (const [stage, situation, reach] of reached) {
    const name = `${stage} ${situation}`.trim()
    it(`decides all ${intents.length} commands on a task that is ${name}`, () => {
      for (const intent of intents) {
        const actor = reach()
        assert.strictEqual(actor.state?.stage ?? "none", stage)
        const before = actor.state
        const answer = expected[name]?.[nameOf(intent)]
        const result = actor.does(intent)
        if (answer === undefined) {
          assert.deepStrictEqual(result, Result.fail(rejectionOf(intent, before)), nameOf(intent))
          assert.strictEqual(actor.state, before)
        } else {
          const tags = Result.getOrThrow(result).map(({ _tag }) => _tag)
          assert.deepStrictEqual(tags, answer === "already so" ? [] : [answer], nameOf(intent))
        }
      }
    })
  }

  it("leads each event to the stage its row names, whatever came before", () => {
    for (const [stage, , reach] of reached) {
      for (const intent of intents) {
        const actor = reach()
        const result = actor.does(intent)
        if (Result.isFailure(result)) continue
        const event = result.success[0]?._tag ?? null
        const targets = machine
          .filter(([from, command, , tag]) => from === stage && command === intent._tag && tag === event)
          .map(([, , , , to]) => (to === "same" ? stage : to))
        assert.include(targets, actor.state?.stage, `${nameOf(intent)} in ${stage}`)
      }
    }
  })

  it("reaches every row of the table", () => {
    const walked = new Set<string>()
    for (const [stage, , reach] of reached) {
      for (const intent of intents) {
        const result = reach().does(intent)
        if (Result.isSuccess(result)) walked.add(`${stage} ${intent._tag} ${result.success[0]?._tag ?? null}`)
      }
    }
    const rows = new Set(machine.map(([from, command, , event]) => `${from} ${command} ${event}`))
    assert.deepStrictEqual(walked, rows)
  })

  it("names no command twice behind a row that always holds", () => {
    const closed = new Set<string>()
    for (const [from, command, guard] of machine) {
      assert.isFalse(closed.has(`${from} ${command}`), `${from} ${command} has a row that nothing reaches`)
      if (guard === "always") closed.add(`${from} ${command}`)
    }
  })
})

describe("the fence", () => {
  it("is asked of every command of whoever holds the task, with its version and its event id", () => {
    for (const intent of intents.filter(({ _tag }) => fencedTags.has(_tag))) {
      for (const [, , reach] of reached) {
        const fence = reach().state?.fence
        if (fence === undefined || fence === null) continue
        for (const stale of [
          noFence,
          { ...fence, version: fence.version - 1 },
          { ...fence, eventId: noFence.eventId }
        ]) {
          assert.deepStrictEqual(reach().does(intent, stale), Result.fail({ _tag: "LeaseLost" }))
        }
      }
    }
  })

  it("is the claim's event, then the start's, and nobody's when the task is pending again", () => {
    const actor = new TaskActor().lives(schedule(), claim)
    const claimed = actor.events.at(-1)
    assert.deepStrictEqual(actor.state?.fence, { version: 2, eventId: claimed?.eventId })
    actor.lives(start)
    assert.deepStrictEqual(actor.state?.fence, { version: 3, eventId: actor.events.at(-1)?.eventId })
    actor.lives(fail)
    assert.deepStrictEqual([actor.state?.fence, actor.state?.sessionId, actor.state?.deadlineAtMs], [null, null, null])
  })

  it("is the parking's event while a task is parked, so that an answer about an earlier parking moves nothing", () => {
    const actor = new TaskActor({ ...atOnce, onInterrupted: "park" }).lives(schedule(), claim, start, expire)
    const first = { version: 4, eventId: actor.events.at(-1)?.eventId ?? "" }
    assert.deepStrictEqual(actor.state?.fence, first)
    actor.lives(runNow, claim, start, expire)
    assert.deepStrictEqual(actor.does(wasDone, first), Result.fail({ _tag: "LeaseLost" }))
    assert.strictEqual(Result.getOrThrow(actor.does(wasDone)).at(0)?._tag, "TaskReconciled")
  })

  it("stays through harmless events, and an outcome appends behind them", () => {
    const actor = new TaskActor().lives(schedule(), claim, start, reprioritise, cancel, succeed)
    assert.deepStrictEqual([actor.state?.stage, actor.state?.version], ["succeeded", 6])
  })
})

describe("a start", () => {
  it("is too early a hundredth of a millisecond before the due time, and in time at it", () => {
    for (const [lateMs, tag] of [
      [-0.01, "TooEarly"],
      [0, "Started"]
    ] as const) {
      const actor = new TaskActor().lives(schedule({ dueAtMs: startMs + 1_000 }), claim)
      actor.nowMs = startMs + 1_000 + lateMs - 10
      const result = actor.does(start)
      assert.strictEqual(Result.isFailure(result) ? result.failure._tag : "Started", tag)
    }
  })

  it("numbers attempts on and on, and charges only those that were neither snoozed nor released", () => {
    const actor = new TaskActor()
    actor.lives(schedule(), claim, start, snooze, claim, start, release, claim, start, fail)
    assert.deepStrictEqual([actor.state?.attempt, actor.state?.charged], [3, 1])
  })

  it("gets its deadline from its own instant and time limit", () => {
    const actor = new TaskActor().lives(schedule(), claim, start)
    assert.strictEqual(actor.state?.deadlineAtMs, actor.nowMs + 60_000)
  })
})

describe("a task that expires", () => {
  const atMs = startMs + 1_000
  const of = (policy: Partial<KindPolicy> = {}) => new TaskActor(policy).lives(schedule({ expiresAtMs: atMs }))
  const tagAt = (actor: TaskActor, nowMs: number, intent: Intent) => {
    actor.nowMs = nowMs - 10
    const result = actor.does(intent)
    return Result.isFailure(result) ? result.failure._tag : result.success[0]?._tag
  }

  it("starts up to its last instant and not in it, and is ended from it on and not before", () => {
    assert.strictEqual(tagAt(of().lives(claim), atMs - 0.01, start), "AttemptStarted")
    assert.strictEqual(tagAt(of().lives(claim), atMs, start), "TooLate")
    assert.strictEqual(tagAt(of(), atMs - 0.01, expireTask), "NotPossible")
    assert.strictEqual(tagAt(of(), atMs, expireTask), "TaskExpired")
    assert.strictEqual(tagAt(of().lives(claim), atMs, expireTask), "TaskExpired")
  })

  it("may succeed however late its attempt ends", () => {
    assert.strictEqual(tagAt(of().lives(claim, start), atMs + 60_000, succeed), "AttemptSucceeded")
  })

  it("is tried again only before it expires, and keeps the failure otherwise", () => {
    const retry = { attemptsMax: 5, delay: { _tag: "Fixed", delayMs: 100 }, jitter: "none" } as const
    assert.strictEqual(tagAt(of({ retry }).lives(claim, start), atMs - 101, fail), "AttemptFailed")
    const actor = of({ retry }).lives(claim, start)
    assert.strictEqual(tagAt(actor, atMs - 100, fail), "TaskExpired")
    const event = actor.events.at(-1)
    assert.strictEqual(event?._tag === "TaskExpired" ? event.error?.message : undefined, "no")
  })

  it("is a dead letter where it would have been one without expiring", () => {
    const actor = of({ retry: { attemptsMax: 1, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" } })
    assert.strictEqual(tagAt(actor.lives(claim, start), atMs, fail), "TaskDeadLettered")
  })
})

describe("what the outside says of a parked attempt", () => {
  const retry = { attemptsMax: 2, delay: { _tag: "Fixed", delayMs: 5_000 }, jitter: "none" } as const
  const parked = () => new TaskActor({ retry, onInterrupted: "park" }).lives(schedule(), claim, start, expire)

  it("ends the task with the result, or lets it be tried again after the policy's delay", () => {
    const done = parked().lives(wasDone).events.at(-1)
    assert.deepStrictEqual(done?._tag === "TaskReconciled" && [done.attempt, done.result], [1, { charge: 1 }])
    const actor = parked().lives(wasNotDone)
    const { attempt, charged, dueAtMs, stage } = actor.state ?? {}
    assert.deepStrictEqual([stage, attempt, charged, dueAtMs], ["pending", 1, 1, actor.nowMs + 5_000])
  })

  it("tells a resumption by the outside from one by a person", () => {
    const reasons = [wasNotDone, runNow].map((intent) => parked().lives(intent).events.at(-1))
    assert.deepStrictEqual(
      reasons.map((event) => event?._tag === "TaskResumed" && event.reason),
      ["not-done", "run-now"]
    )
  })
})

describe("deaths", () => {
  const retry: RetryPolicy = { attemptsMax: 1_000, delay: { _tag: "Fixed", delayMs: 0 }, jitter: "none" }
  const died = [claim, start, expire]
  const of = (policy: Partial<KindPolicy>, ...life: ReadonlyArray<Intent>) =>
    new TaskActor({ retry, ...policy }).lives(schedule(), ...life)

  it("are counted in a row: any other end of an attempt begins anew, a claim or a wish does not", () => {
    const deathsAfter = (...life: ReadonlyArray<Intent>) => of({}, ...died, ...died, ...life).state?.deaths
    assert.strictEqual(deathsAfter(), 2)
    const survived = [fail, snooze, release, expireLeft, { _tag: "Expire", reason: "deadline" }] as const
    for (const end of survived) assert.strictEqual(deathsAfter(claim, start, end), 0, end._tag)
    assert.strictEqual(deathsAfter(claim, releaseClaim), 2)
    assert.strictEqual(deathsAfter(claim, expire), 2)
    assert.strictEqual(deathsAfter(claim, start, reprioritise), 2)
    assert.strictEqual(deathsAfter(claim, start, fail, ...died), 1)
  })

  it("make a dead letter at exactly the policy's limit, whatever attempts are left, and say why", () => {
    for (const deathsMax of [1, 3, 1_000]) {
      const actor = of({ deathsMax })
      for (let death = 1; death < deathsMax; death++) assert.strictEqual(actor.lives(...died).state?.stage, "pending")
      const event = actor.lives(...died).events.at(-1)
      assert.deepStrictEqual(event?._tag === "TaskDeadLettered" && [event.reason, event.attempt, event.error.name], [
        "quarantined",
        deathsMax,
        "AttemptExpired"
      ])
    }
  })

  it("are the reason also where they use up the last attempt, and not where another end does", () => {
    const reasonOf = ({ events }: TaskActor) => {
      const event = events.at(-1)
      return event?._tag === "TaskDeadLettered" ? event.reason : event?._tag
    }
    const two = { retry: { ...retry, attemptsMax: 2 }, deathsMax: 2 }
    assert.strictEqual(reasonOf(of(two, ...died, ...died)), "quarantined")
    assert.strictEqual(reasonOf(of(two, ...died, claim, start, expireLeft)), "exhausted")
    assert.strictEqual(reasonOf(of(two, ...died, claim, start, fail)), "exhausted")
    assert.strictEqual(reasonOf(of(two, ...died, claim, start, discard)), "discarded")
  })

  it("are forgiven by a redrive", () => {
    const actor = of({ deathsMax: 2 }, ...died, ...died, redrive, ...died)
    assert.deepStrictEqual([actor.state?.stage, actor.state?.deaths], ["pending", 1])
  })

  it("are counted of what parks, too, and end nothing there", () => {
    const actor = of({ onInterrupted: "park", deathsMax: 2 }, ...died, runNow, ...died, wasNotDone, ...died)
    assert.deepStrictEqual([actor.state?.stage, actor.state?.deaths], ["parked", 3])
    assert.strictEqual(actor.lives(runNow, claim, start, fail).state?.deaths, 0)
  })

  it("are counted up to the largest limit that a policy may have", () => {
    const actor = of({ onInterrupted: "park" })
    for (let death = 0; death < deathsMaxLimit + 5; death++) actor.lives(...died, runNow)
    assert.strictEqual(actor.state?.deaths, deathsMaxLimit)
  })
})

describe("redriving", () => {
  it("gives all attempts from then on the payload that it came with, until the next one", () => {
    const mended: Intent = { _tag: "Redrive", payload: { mended: null } }
    const actor = new TaskActor(atOnce).lives(schedule({ payload: 1 }), claim, start, discard)
    const payloads = [redrive, mended, redrive, { ...mended, payload: null }].map((intent) => {
      actor.lives(intent, claim, start, discard)
      return payloadOf(actor.events)
    })
    assert.deepStrictEqual(payloads, [1, { mended: null }, { mended: null }, null])
  })

  it("forgives the charges, keeps the attempt numbers and makes the task due now", () => {
    const actor = new TaskActor(atOnce).lives(schedule(), claim, start, fail, claim, start, fail, redrive)
    const { attempt, charged, dueAtMs, stage } = actor.state ?? {}
    assert.deepStrictEqual([stage, attempt, charged, dueAtMs], ["pending", 2, 0, actor.nowMs])
  })
})

describe("decide", () => {
  it("does not look at a fence before there is a task", () => {
    const command = { _tag: "Start", fence: noFence, sessionId: 1, timeoutMs: 1, dispatchedAtMs: null } as const
    const decision = decide({ ...command, atMs: startMs, eventId: "any" }, null)
    assert.deepStrictEqual(decision, Result.fail({ _tag: "NotPossible", stage: "none", command: "Start" }))
  })
})

const nameOf = (intent: Intent): string => {
  if (intent._tag === "Reconcile") return `Reconcile ${intent.answer._tag === "Done" ? "done" : "not done"}`
  if (intent._tag === "Reprioritise") return `Reprioritise ${intent.priority}`
  return intent._tag === "Fail" && !intent.retryable ? "Fail for good" : intent._tag
}

/** Without the right fence a holder's command has lost its lease; any other is not possible in the stage. */
const rejectionOf = (intent: Intent, state: TaskState | null) => {
  if (state !== null && fencedTags.has(intent._tag) && state.fence === null) return { _tag: "LeaseLost" as const }
  const late = { _tag: "TooLate" as const, expiresAtMs: startMs + 1_800_000 }
  const isExpiring = state !== null && state.expiresAtMs !== null
  if (isExpiring && intent._tag === "Start" && state.stage === "claimed") return late
  if (isExpiring && intent._tag === "Reschedule" && (state.stage === "pending" || state.stage === "claimed"))
    return late
  if (isExpiring && intent._tag === "RunNow" && state.stage === "parked") return late
  if (isExpiring && intent._tag === "Redrive" && state.stage === "dead") return late
  if (intent._tag === "Start" && state?.stage === "claimed")
    return { _tag: "TooEarly" as const, dueAtMs: state.dueAtMs }
  return { _tag: "NotPossible" as const, stage: state?.stage ?? "none", command: intent._tag }
}
