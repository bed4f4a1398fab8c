import type { Fault } from "../../src/testing/simulation/Fault.ts"
import type { History, PlannedPause, PlannedTask, PlannedWish } from "../world/History.ts"
import { trueClock } from "../../src/testing/simulation/Incarnation.ts"
import type { Role } from "../world/node.ts"
import type { Scenario } from "./Scenario.ts"

/** Kinds that a death does not quarantine, so that no crash changes how a task ends. */
const task: PlannedTask = {
  kind: "alert",
  atMs: 0,
  dueInMs: 50,
  workMs: 20,
  failures: 0,
  hangs: 0,
  expiresInMs: null,
  isTwice: false,
  isFollowed: false,
  wishes: []
}

const apart: ReadonlyArray<Role> = ["engine", "worker"]
/** Until then something more might be done; polls go on all the time, so each ms has its legs. */
const lastsMs = 400

const historyOf = (
  tasks: ReadonlyArray<Partial<PlannedTask>>,
  more: {
    readonly roles?: ReadonlyArray<Role>
    readonly windowTasks?: number
    readonly pauses?: ReadonlyArray<PlannedPause>
    readonly faults?: ReadonlyArray<Fault>
  } = {}
): History => {
  const { roles = apart, windowTasks = 100, pauses = [], faults = [] } = more
  return {
    seed: 1,
    preemption: 0,
    clocks: roles.map(() => trueClock),
    roles,
    lastsMs,
    reach: "fleet",
    concurrency: 2,
    windowTasks,
    pauses,
    recurrences: [],
    tasks: tasks.map((planned) => ({ ...task, ...planned })),
    faults
  }
}

const asked = (wish: PlannedWish["wish"], inMs: number): ReadonlyArray<PlannedWish> => [{ wish, inMs }]

/** An engine knows the kinds of new workers after a second: tasks of before start then. */
const warmAtMs = 1_200

/** The worker that gets the task, frozen at its first start for longer than a lease. */
const hang: Fault = { _tag: "PauseAtLeg", node: 2, operation: "start", leg: "reply", nth: 1, forMs: 7_000 }

const done = ["TaskScheduled", "TaskClaimed", "AttemptStarted", "AttemptSucceeded"] as const

export const scenarios: ReadonlyArray<Scenario> = [
  {
    name: "succeeds",
    what: "schedule, start, success",
    history: historyOf([{}]),
    shows: done,
    endsAs: ["succeeded"],
    isPaired: true
  },
  {
    name: "one-process",
    what: "the same with engine and worker in one process",
    history: historyOf([{}], { roles: ["both"] }),
    shows: done,
    endsAs: ["succeeded"],
    isPaired: true
  },
  {
    name: "commits",
    what: "an effect in the transaction of the success",
    history: historyOf([{ kind: "pay" }]),
    shows: done,
    endsAs: ["succeeded"],
    isPaired: true
  },
  {
    name: "retries",
    what: "a failure, a retry, success",
    history: historyOf([{ failures: 1 }]),
    shows: ["AttemptStarted", "AttemptFailed", "AttemptStarted", "AttemptSucceeded"],
    endsAs: ["succeeded"]
  },
  {
    name: "dies",
    what: "all attempts fail: a dead letter, announced",
    history: historyOf([{ failures: 7 }]),
    shows: ["AttemptFailed", "AttemptFailed", "AttemptFailed", "AttemptFailed", "AttemptFailed", "TaskDeadLettered"],
    endsAs: ["dead"]
  },
  {
    name: "redriven",
    what: "a dead letter is given all its attempts again and succeeds",
    history: historyOf([{ failures: 7, wishes: asked("redrive", 8_000) }]),
    shows: ["TaskDeadLettered", "TaskRedriven", "AttemptFailed", "AttemptSucceeded"],
    endsAs: ["succeeded", "dead"]
  },
  {
    name: "cancelled-waiting",
    what: "a cancel before the start",
    history: historyOf([{ dueInMs: 1_000, wishes: asked("cancel", 100) }]),
    shows: ["TaskScheduled", "TaskCancelled"],
    endsAs: ["cancelled", "succeeded"],
    isPaired: true
  },
  {
    name: "cancelled-running",
    what: "a cancel of a running attempt, which then fails",
    history: historyOf([{ atMs: warmAtMs, workMs: 300, failures: 1, wishes: asked("cancel", 200) }]),
    shows: ["AttemptStarted", "CancelRequested", "TaskCancelled"],
    endsAs: ["cancelled", "succeeded"]
  },
  {
    name: "moved-later",
    what: "a task that is claimed ahead is rescheduled for later",
    history: historyOf([{ atMs: warmAtMs, dueInMs: 500, wishes: asked("reschedule", 100) }]),
    shows: ["TaskClaimed", "TaskRescheduled", "TaskClaimed", "AttemptStarted", "AttemptSucceeded"],
    endsAs: ["succeeded"]
  },
  {
    name: "moved-earlier",
    what: "a task far off is rescheduled for earlier",
    history: historyOf([{ dueInMs: 20_000, wishes: asked("reschedule", 100) }]),
    shows: ["TaskScheduled", "TaskRescheduled", "TaskClaimed", "AttemptStarted", "AttemptSucceeded"],
    endsAs: ["succeeded"]
  },
  {
    name: "run-now",
    what: "a task far off is run now",
    history: historyOf([{ dueInMs: 20_000, wishes: asked("runNow", 100) }]),
    shows: ["TaskScheduled", "TaskRescheduled", "TaskClaimed", "AttemptStarted", "AttemptSucceeded"],
    endsAs: ["succeeded"]
  },
  {
    name: "reprioritised",
    what: "a waiting task becomes critical",
    history: historyOf([{ kind: "paced", dueInMs: 600, wishes: asked("reprioritise", 100) }]),
    shows: ["TaskScheduled", "TaskReprioritised", "TaskClaimed", "AttemptStarted", "AttemptSucceeded"],
    endsAs: ["succeeded"]
  },
  {
    name: "lease-lost",
    what: "a worker hangs for longer than its lease; another one takes over",
    history: historyOf([{}], { roles: ["engine", "worker", "worker"], faults: [hang] }),
    shows: ["AttemptStarted", "AttemptExpired", "TaskClaimed", "AttemptStarted", "AttemptSucceeded"],
    endsAs: ["succeeded"]
  },
  {
    name: "asks",
    what: "the same where nothing may be repeated before the outside was asked",
    history: historyOf([{ kind: "mail" }], { roles: ["engine", "worker", "worker"], faults: [hang] }),
    shows: ["AttemptStarted", "TaskParked", "TaskResumed", "AttemptStarted", "AttemptSucceeded"],
    endsAs: ["succeeded"]
  },
  {
    name: "expires",
    what: "a task of a paused kind waits until it is too late",
    history: historyOf([{ expiresInMs: 300 }], { pauses: [{ kind: "alert", atMs: 0, forMs: 900 }] }),
    shows: ["TaskScheduled", "TaskExpired"],
    endsAs: ["expired", "succeeded"]
  },
  {
    name: "paused",
    what: "a kind is paused and goes on",
    history: historyOf([{ atMs: 100, dueInMs: 0 }], { pauses: [{ kind: "alert", atMs: 0, forMs: 1_500 }] }),
    shows: done,
    endsAs: ["succeeded"]
  },
  {
    name: "followed",
    what: "a success that schedules another task, which is followed itself",
    history: historyOf([{ isFollowed: true }]),
    shows: done,
    endsAs: ["succeeded"]
  },
  {
    name: "key-twice",
    what: "two callers use one key at once",
    history: historyOf([{ isTwice: true }]),
    shows: done,
    endsAs: ["succeeded"]
  },
  {
    name: "two-engines",
    what: "two engines for one task",
    history: historyOf([{}], { roles: ["engine", "engine", "worker"], windowTasks: 1 }),
    shows: done,
    endsAs: ["succeeded"]
  }
]
