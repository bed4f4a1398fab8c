import { Result } from "effect"
import type { AuditedStream } from "../../src/core/audit.ts"
import { decide } from "../../src/core/decide.ts"
import { evolve } from "../../src/core/evolve.ts"
import { defaultKindPolicy, type KindPolicy } from "../../src/core/KindPolicy.ts"
import type { Rejection, TaskCommand } from "../../src/core/TaskCommand.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import * as TaskId from "../../src/core/TaskId.ts"
import { isOver, type Fence, type TaskState } from "../../src/core/TaskState.ts"

/** A command without what its moment adds: time, event id and, for the holder of the task, the current fence. */
export type Intent = TaskCommand extends infer Command
  ? Command extends TaskCommand
    ? Omit<Command, "atMs" | "eventId" | "fence" | "policy">
    : never
  : never

/** One task lived by `decide` and `evolve` alone: the smallest store there can be. */
export class TaskActor {
  readonly taskId: string
  readonly events: Array<TaskEvent> = []
  readonly policy: KindPolicy
  state: TaskState | null = null
  nowMs = startMs

  constructor(policy: Partial<KindPolicy> = {}, place = 1) {
    this.policy = { ...defaultKindPolicy(kind), ...policy }
    this.taskId = TaskId.make(startMs, 0, bytesOf(place))
  }

  /** Takes 10 ms of virtual time and applies the command, with the current fence unless another one is given. */
  does(intent: Intent, fence?: Fence): Result.Result<ReadonlyArray<TaskEvent>, Rejection> {
    this.nowMs += 10
    const eventId = eventIdOf(this.taskId, this.events.length + 1)
    const command = this.#commandOf(intent, eventId, fence ?? this.state?.fence ?? noFence)
    return Result.map(decide(command, this.state), (bodies) =>
      bodies.map((body) => {
        const version = (this.state?.version ?? 0) + 1
        const event: TaskEvent = { ...body, taskId: this.taskId, version, eventId, atMs: this.nowMs }
        this.events.push(event)
        this.state = evolve(this.state, event)
        return event
      })
    )
  }

  /** Several commands, each of which must append its event. */
  lives(...intents: ReadonlyArray<Intent>): this {
    for (const intent of intents) {
      const result = this.does(intent)
      if (Result.isFailure(result)) throw new Error(`${intent._tag}: ${JSON.stringify(result.failure)}`)
      if (result.success.length === 0) throw new Error(`${intent._tag} appended nothing`)
    }
    return this
  }

  waits(ms: number): this {
    this.nowMs += ms
    return this
  }

  /** The stream with the projection a right store would hold. */
  get stream(): AuditedStream {
    const { events, state, taskId } = this
    const over = state === null || isOver(state.stage)
    return { taskId, events: [...events], projections: over ? [] : [state] }
  }

  #commandOf(intent: Intent, eventId: string, fence: Fence): TaskCommand {
    const moment = { atMs: this.nowMs, eventId }
    // The fields are put together by tag, which the type of a union cannot follow.
    return (
      fencedTags.has(intent._tag) ? { ...intent, ...moment, fence, policy: this.policy } : { ...intent, ...moment }
    ) as TaskCommand
  }
}

/** The commands that name a fence. */
export const fencedTags: ReadonlySet<string> = new Set([
  "ReleaseClaim",
  "Start",
  "Succeed",
  "Fail",
  "Snooze",
  "Discard",
  "Release",
  "Expire",
  "Reconcile"
])

export const kind = "send-reminder"
export const startMs = 1_800_000_000_000
export const noFence: Fence = { version: 0, eventId: "00000000-0000-4000-8000-000000000000" }

export const eventIdOf = (taskId: string, place: number): string =>
  `${taskId.slice(24, 32)}-0000-4000-8000-${((place * 0x9e3779b1) % 2 ** 48).toString(16).padStart(12, "0")}`

export const schedule = (fields: Partial<Extract<Intent, { _tag: "Schedule" }>> = {}): Intent => ({
  _tag: "Schedule",
  kind,
  priority: "normal",
  dueAtMs: startMs,
  key: null,
  payload: null,
  ...fields
})
export const claim: Intent = { _tag: "Claim", sessionId: 1 }
export const releaseClaim: Intent = { _tag: "ReleaseClaim", reason: "drained" }
export const start: Intent = { _tag: "Start", sessionId: 2, timeoutMs: 60_000, dispatchedAtMs: null }
export const succeed: Intent = { _tag: "Succeed", result: null }
export const fail: Intent = { _tag: "Fail", error: { name: "Error", message: "no" }, retryable: true, retryInMs: null }
export const failForGood: Intent = { ...fail, retryable: false }
export const expireTask: Intent = { _tag: "ExpireTask" }
export const snooze: Intent = { _tag: "Snooze", inMs: 0 }
export const discard: Intent = { _tag: "Discard", reason: "too late" }
export const release: Intent = { _tag: "Release", reason: "drained" }
export const expire: Intent = { _tag: "Expire", reason: "session-lost" }
/** As `expire`, and the process lives on. */
export const expireLeft: Intent = { _tag: "Expire", reason: "session-left" }
export const wasDone: Intent = { _tag: "Reconcile", answer: { _tag: "Done", result: { charge: 1 } } }
export const wasNotDone: Intent = { _tag: "Reconcile", answer: { _tag: "NotDone" } }
export const cancel: Intent = { _tag: "Cancel", reason: null }
export const reschedule: Intent = { _tag: "Reschedule", dueAtMs: startMs + 20 }
export const reprioritise: Intent = { _tag: "Reprioritise", priority: "critical" }
export const runNow: Intent = { _tag: "RunNow" }
export const redrive: Intent = { _tag: "Redrive" }
export const discardDead: Intent = { _tag: "DiscardDead", reason: "nobody needs it" }

const bytesOf = (place: number): Uint8Array =>
  Uint8Array.from({ length: 8 }, (_, index) => (place >> (8 * (7 - index))) & 0xff)
