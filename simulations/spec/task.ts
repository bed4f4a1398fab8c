/**
 * The executable spec of one task, written from docs/reference/machine.md, docs/explain and docs/guide. It shares no code with `src`,
 * only types, and is not made like it: no table, no fences with ids, no batches. Plain data in, plain data out, time comes in. What it
 * says is held against the memory store and PostgreSQL, step by step (differential.ts).
 */
import type { Outcome } from "../../src/core/TaskCommand.ts"
import type { AttemptError, ExpiryReason } from "../../src/core/TaskEvent.ts"
import type { Wish } from "../../src/store/TaskStore.ts"
import type { Born, Command, Decision, Fact, Rules, Task, Why } from "./facts.ts"

const no = (why: Why): Decision => ({ tag: "Rejected", why })

export const decide = (task: Task, command: Command, rules: Rules, nowMs: number): Decision => {
  const { attempt, stage } = task
  if ("fence" in command && task.fence !== command.fence) return no({ _tag: "LeaseLost" })
  const impossible = (name: string) => no({ _tag: "NotPossible", stage, command: name })
  switch (command.tag) {
    case "Claim":
      return stage === "pending" ? { tag: "TaskClaimed", session: command.session } : impossible("Claim")
    case "Unclaim":
      return stage === "claimed" ? { tag: "ClaimReleased", reason: command.reason } : impossible("ReleaseClaim")
    case "Start": {
      if (stage !== "claimed") return impossible("Start")
      if (task.dueAtMs > nowMs) return no({ _tag: "TooEarly", dueAtMs: task.dueAtMs })
      if (task.expiresAtMs !== null && task.expiresAtMs <= nowMs)
        return no({ _tag: "TooLate", expiresAtMs: task.expiresAtMs })
      const { dispatchedAtMs, session, timeoutMs } = command
      return { tag: "AttemptStarted", attempt: attempt + 1, session, deadlineAtMs: nowMs + timeoutMs, dispatchedAtMs }
    }
    case "Settle":
      return stage === "running" ? settle(task, command.outcome, rules, nowMs) : impossible(command.outcome._tag)
    case "Interrupt":
      if (stage === "claimed") return { tag: "ClaimReleased", reason: "session-lost" }
      return stage === "running" ? interrupt(task, command.reason, rules, nowMs) : impossible("Expire")
    case "Reconcile":
      if (stage !== "parked") return impossible("Reconcile")
      if (command.answer._tag === "Done") return { tag: "TaskReconciled", attempt, result: command.answer.result }
      if (task.cancelRequested) return { tag: "TaskCancelled", reason: null }
      return tried(task, rules, nowMs, (dueAtMs) => ({ tag: "TaskResumed", reason: "not-done", dueAtMs }))
    case "TooLate":
      return (stage === "pending" || stage === "claimed") && task.expiresAtMs !== null && task.expiresAtMs <= nowMs
        ? { tag: "TaskExpired", error: null }
        : impossible("ExpireTask")
    case "Wish":
      return grant(task, command.wish, nowMs)
  }
}

/** How an attempt ends by its handler's word. A request to cancel stands above all but success. */
const settle = (task: Task, outcome: Outcome, rules: Rules, nowMs: number): Decision => {
  const { attempt, cancelRequested } = task
  switch (outcome._tag) {
    case "Succeed":
      return { tag: "AttemptSucceeded", attempt, result: outcome.result }
    case "Snooze": {
      const dueAtMs = Math.ceil(nowMs + outcome.inMs)
      return cancelRequested
        ? { tag: "TaskCancelled", reason: null }
        : unlessTooLate(task, dueAtMs, { tag: "AttemptSnoozed", attempt, dueAtMs })
    }
    case "Release": {
      const dueAtMs = Math.ceil(nowMs)
      return cancelRequested
        ? { tag: "TaskCancelled", reason: null }
        : unlessTooLate(task, dueAtMs, { tag: "AttemptReleased", attempt, reason: outcome.reason, dueAtMs })
    }
    case "Discard":
      return cancelRequested
        ? { tag: "TaskCancelled", reason: outcome.reason }
        : {
            tag: "TaskDeadLettered",
            attempt,
            reason: "discarded",
            error: { name: "Discarded", message: outcome.reason }
          }
    case "Fail": {
      const { error, retryInMs, retryable } = outcome
      if (cancelRequested) return { tag: "TaskCancelled", reason: error.message }
      if (!retryable) return { tag: "TaskDeadLettered", attempt, reason: "not-retryable", error }
      if (task.charged >= rules.attemptsMax) return { tag: "TaskDeadLettered", attempt, reason: "exhausted", error }
      const dueAtMs = Math.ceil(nowMs + (retryInMs ?? rules.delayMs(task.charged)))
      return unlessTooLate(task, dueAtMs, { tag: "AttemptFailed", attempt, error, dueAtMs }, error)
    }
  }
}

/** How an attempt ends whose process is gone, or whose time is up. Unknown effects come first: whoever parks asks before anything. */
const interrupt = (task: Task, reason: ExpiryReason, rules: Rules, nowMs: number): Decision => {
  const { attempt } = task
  if (rules.parks) return { tag: "TaskParked", attempt, reason }
  if (task.cancelRequested) return { tag: "TaskCancelled", reason: null }
  if (reason === "session-lost" && task.deaths + 1 >= rules.deathsMax)
    return { tag: "TaskDeadLettered", attempt, reason: "quarantined", error: ofTheStore }
  return tried(task, rules, nowMs, (dueAtMs) => ({ tag: "AttemptExpired", attempt, reason, dueAtMs }))
}

/** Once more after the delay of the policy, or a dead letter. */
const tried = (task: Task, rules: Rules, nowMs: number, again: (dueAtMs: number) => Fact): Decision => {
  if (task.charged >= rules.attemptsMax)
    return { tag: "TaskDeadLettered", attempt: task.attempt, reason: "exhausted", error: ofTheStore }
  const dueAtMs = Math.ceil(nowMs + rules.delayMs(task.charged))
  return unlessTooLate(task, dueAtMs, again(dueAtMs))
}

/** Its words are for people, and not compared. */
export const ofTheStore: AttemptError = { name: "AttemptExpired", message: "" }

const unlessTooLate = (task: Task, dueAtMs: number, again: Fact, error: AttemptError | null = null): Fact =>
  task.expiresAtMs !== null && dueAtMs >= task.expiresAtMs ? { tag: "TaskExpired", error } : again

/** What a person or a client may ask for, where. */
const grant = (task: Task, wish: Wish, nowMs: number): Decision => {
  const { expiresAtMs, stage } = task
  const waits = stage === "pending" || stage === "claimed"
  const due = (dueAtMs: number, fact: Fact): Decision =>
    expiresAtMs !== null && Math.max(dueAtMs, nowMs) >= expiresAtMs ? no({ _tag: "TooLate", expiresAtMs }) : fact
  const atOnceMs = Math.ceil(nowMs)
  switch (wish._tag) {
    case "Cancel":
      if (stage === "cancelled" || (stage === "running" && task.cancelRequested)) return null
      if (stage === "running") return { tag: "CancelRequested", reason: wish.reason }
      if (waits || stage === "parked") return { tag: "TaskCancelled", reason: wish.reason }
      break
    case "Reschedule":
      if (waits) return due(wish.dueAtMs, { tag: "TaskRescheduled", dueAtMs: wish.dueAtMs })
      break
    case "Reprioritise":
      if (!waits && stage !== "running") break
      return wish.priority === task.priority ? null : { tag: "TaskReprioritised", priority: wish.priority }
    case "RunNow":
      if (waits && task.dueAtMs <= nowMs) return null
      if (waits) return due(atOnceMs, { tag: "TaskRescheduled", dueAtMs: atOnceMs })
      if (stage !== "parked") break
      if (task.cancelRequested) return { tag: "TaskCancelled", reason: null }
      return due(atOnceMs, { tag: "TaskResumed", reason: "run-now", dueAtMs: atOnceMs })
    case "Redrive":
      if (stage === "dead") return due(atOnceMs, { tag: "TaskRedriven", dueAtMs: atOnceMs })
  }
  return no({ _tag: "NotPossible", stage, command: wish._tag })
}

export const born = (fact: Born): Task => ({
  stage: "pending",
  kind: fact.kind,
  priority: fact.priority,
  dueAtMs: fact.dueAtMs,
  expiresAtMs: fact.expiresAtMs,
  version: 1,
  fence: null,
  session: null,
  attempt: 0,
  charged: 0,
  deaths: 0,
  deadlineAtMs: null,
  cancelRequested: false,
  followed: fact.onSuccess !== undefined || fact.onDead !== undefined
})

export const evolve = (task: Task, fact: Fact): Task => {
  const version = task.version + 1
  const at = { ...task, version }
  /** Nobody holds it any more. */
  const free = { ...at, fence: null, session: null, deadlineAtMs: null, cancelRequested: false }
  switch (fact.tag) {
    case "TaskScheduled":
      return born(fact)
    case "TaskClaimed":
      return { ...at, stage: "claimed", fence: version, session: fact.session }
    case "AttemptStarted": {
      const { attempt, deadlineAtMs, session } = fact
      return { ...at, stage: "running", fence: version, session, attempt, deadlineAtMs, charged: task.charged + 1 }
    }
    case "CancelRequested":
      return { ...at, cancelRequested: true }
    case "TaskReprioritised":
      return task.stage === "running"
        ? { ...at, priority: fact.priority }
        : { ...free, stage: "pending", priority: fact.priority }
    case "ClaimReleased":
      return { ...free, stage: "pending" }
    case "TaskRescheduled":
    case "TaskResumed":
      return { ...free, stage: "pending", dueAtMs: fact.dueAtMs }
    case "TaskRedriven":
      return { ...free, stage: "pending", dueAtMs: fact.dueAtMs, charged: 0, deaths: 0 }
    case "AttemptFailed":
      return { ...free, stage: "pending", dueAtMs: fact.dueAtMs, deaths: 0 }
    case "AttemptExpired":
      return { ...free, stage: "pending", dueAtMs: fact.dueAtMs, deaths: deathsAfter(task, fact.reason) }
    case "AttemptSnoozed":
    case "AttemptReleased":
      return { ...free, stage: "pending", dueAtMs: fact.dueAtMs, charged: task.charged - 1, deaths: 0 }
    case "TaskParked":
      // A request to cancel outlives it.
      return {
        ...free,
        stage: "parked",
        fence: version,
        cancelRequested: task.cancelRequested,
        deaths: deathsAfter(task, fact.reason)
      }
    case "AttemptSucceeded":
    case "TaskReconciled":
      return { ...free, stage: "succeeded", deaths: 0 }
    case "TaskDeadLettered":
      return { ...free, stage: "dead", deaths: 0 }
    case "TaskCancelled":
      return { ...free, stage: "cancelled", deaths: 0 }
    case "TaskExpired":
      return { ...free, stage: "expired", deaths: 0 }
  }
}

const deathsAfter = (task: Task, reason: ExpiryReason): number => (reason === "session-lost" ? task.deaths + 1 : 0)
