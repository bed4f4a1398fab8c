import { Runtime, Schema } from "effect"

/**
 * Every error a user of duetime can meet, in one place. Each has a stable code (`codeOf`), a message that says what
 * happened, with values, and then what to do, and an exit status for programs. What a handler fails with is none of
 * these: it is data in the task's history.
 */
export { BrokerUnavailable } from "./broker/Broker.ts"
export { BrokerRefused, TopicMissing, TopicTooNarrow } from "./broker/BrokerError.ts"
export {
  DueBeyondHorizon,
  LeaseLost,
  RecurrenceNotFound,
  SchemaNewer,
  SchemaOutdated,
  ServerTooOld,
  StoreUnavailable,
  TaskNotFound,
  TimeZonesOutdated,
  UnsafeDurability
} from "./store/StoreError.ts"

/** Exit statuses: 0 done, 1 the asked-for thing failed, 130 interrupted, and these. */
export const exitCodes = { usage: 2, configuration: 3, notFoundOrConflict: 4, unreachable: 5, schemaNewer: 6 } as const

/** `duetime/PayloadRejected`: the same in logs, over HTTP, in the terminal and in docs/reference/errors.md. */
export const codeOf = (error: { readonly _tag: string }): string => `duetime/${error._tag}`

/** A payload that cannot be scheduled; nothing was stored. */
export class PayloadRejected extends Schema.TaggedError<PayloadRejected>("duetime/PayloadRejected")("PayloadRejected", {
  kind: Schema.String,
  /** Which place of the payload, as `$.email`; `$` for the whole. */
  path: Schema.String,
  problem: Schema.String,
  wayOut: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = exitCodes.usage
  override get message(): string {
    return `PayloadRejected: payload of kind "${this.kind}" at ${this.path}: ${this.problem}. ${this.wayOut}`
  }
}

/** An argument or option that makes no sense; nothing was done. */
export class OptionsRejected extends Schema.TaggedError<OptionsRejected>("duetime/OptionsRejected")("OptionsRejected", {
  field: Schema.String,
  value: Schema.String,
  wayOut: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = exitCodes.usage
  override get message(): string {
    return `OptionsRejected: ${this.field} is ${this.value}. ${this.wayOut}`
  }
}

/** The key belongs to a task with another payload; nothing was scheduled. */
export class KeyConflict extends Schema.TaggedError<KeyConflict>("duetime/KeyConflict")("KeyConflict", {
  kind: Schema.String,
  key: Schema.String,
  /** The task that has the key. */
  taskId: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = exitCodes.notFoundOrConflict
  override get message(): string {
    return `KeyConflict: the key "${this.key}" of kind "${this.kind}" belongs to task ${this.taskId}, which has another payload; nothing was scheduled. Use another key, or the same payload.`
  }
}

/** The name belongs to a recurrence with another definition; nothing was made. */
export class RecurrenceExists extends Schema.TaggedError<RecurrenceExists>("duetime/RecurrenceExists")(
  "RecurrenceExists",
  { name: Schema.String }
) {
  override readonly [Runtime.errorExitCode] = exitCodes.notFoundOrConflict
  override get message(): string {
    return `RecurrenceExists: the name "${this.name}" belongs to a recurrence that is defined otherwise; nothing was made. Edit that one, or use another name.`
  }
}

/** A wish that the task's stage does not allow; nothing was changed. */
export class InvalidTransition extends Schema.TaggedError<InvalidTransition>("duetime/InvalidTransition")(
  "InvalidTransition",
  {
    taskId: Schema.String,
    wish: Schema.String,
    stage: Schema.String,
    /** What can be done with a task at this stage. */
    possible: Schema.Array(Schema.String)
  }
) {
  override readonly [Runtime.errorExitCode] = exitCodes.notFoundOrConflict
  override get message(): string {
    const possible =
      this.possible.length === 0 ? "Nothing can be done to it any more" : `Possible: ${this.possible.join(", ")}`
    return `InvalidTransition: cannot ${this.wish} task ${this.taskId}: it is ${this.stage}. ${possible}.`
  }
}

/** A setting that is missing or wrong; nothing was started. */
export class ConfigInvalid extends Schema.TaggedError<ConfigInvalid>("duetime/ConfigInvalid")("ConfigInvalid", {
  /** Name of the environment variable or option. */
  name: Schema.String,
  problem: Schema.String,
  wayOut: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = exitCodes.configuration
  override get message(): string {
    return `ConfigInvalid: ${this.name} ${this.problem}. ${this.wayOut}`
  }
}

/** Two handlers for one kind: which of them would run? */
export class HandlerConflict extends Schema.TaggedError<HandlerConflict>("duetime/HandlerConflict")("HandlerConflict", {
  kind: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = exitCodes.configuration
  override get message(): string {
    return `HandlerConflict: the kind "${this.kind}" already has a handler in this worker. Handle each kind once.`
  }
}

/** The module that `--tasks` names gives no handlers; nothing was started. */
export class TasksInvalid extends Schema.TaggedError<TasksInvalid>("duetime/TasksInvalid")("TasksInvalid", {
  /** As it was given. */
  module: Schema.String,
  problem: Schema.String,
  wayOut: Schema.String,
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override readonly [Runtime.errorExitCode] = exitCodes.configuration
  override get message(): string {
    return `TasksInvalid: the module ${this.module} ${this.problem}. ${this.wayOut}`
  }
}

/** `attempt.commit` on a store that has no SQL. */
export class CommitUnsupported extends Schema.TaggedError<CommitUnsupported>("duetime/CommitUnsupported")(
  "CommitUnsupported",
  { taskId: Schema.String }
) {
  override readonly [Runtime.errorExitCode] = exitCodes.configuration
  override get message(): string {
    return `CommitUnsupported: attempt.commit of task ${this.taskId} needs SQL, and the store in use has none. Use the PostgreSQL store, or return the result instead.`
  }
}
