import { Runtime, Schema } from "effect"

/**
 * The store could not be asked, or its answer was lost. With `commitUnknown` the change may have been made: repeat
 * the same request with the same event ids, and the store answers as it did, or would have, the first time.
 */
export class StoreUnavailable extends Schema.TaggedError<StoreUnavailable>("duetime/StoreUnavailable")(
  "StoreUnavailable",
  {
    operation: Schema.String,
    commitUnknown: Schema.Boolean,
    reason: Schema.String,
    /** Default: that of an outage. */
    wayOut: Schema.optionalKey(Schema.String),
    cause: Schema.optionalKey(Schema.Defect())
  }
) {
  override readonly [Runtime.errorExitCode] = 5
  override get message(): string {
    return `StoreUnavailable: ${this.operation} failed: ${this.reason}. ${this.wayOut ?? outageWayOut}.`
  }
}

const outageWayOut = "Check that PostgreSQL is reachable and repeat the call; nothing that was acknowledged is lost"

/** The due time lies behind the last partition the store keeps ready. */
export class DueBeyondHorizon extends Schema.TaggedError<DueBeyondHorizon>("duetime/DueBeyondHorizon")(
  "DueBeyondHorizon",
  { field: Schema.String, value: Schema.String, horizon: Schema.String }
) {
  override readonly [Runtime.errorExitCode] = 2
  override get message(): string {
    return `DueBeyondHorizon: ${this.field} is ${this.value}, later than the horizon ${this.horizon}. Schedule a nearer task that schedules this one.`
  }
}

/** An id that no stream has, or whose day has been dropped by retention. */
export class TaskNotFound extends Schema.TaggedError<TaskNotFound>("duetime/TaskNotFound")("TaskNotFound", {
  taskId: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 4
  override get message(): string {
    return `TaskNotFound: no task has the id ${this.taskId}. Check the id and the database; days older than the retention are dropped.`
  }
}

/** A name that no recurrence has. */
export class RecurrenceNotFound extends Schema.TaggedError<RecurrenceNotFound>("duetime/RecurrenceNotFound")(
  "RecurrenceNotFound",
  { name: Schema.String }
) {
  override readonly [Runtime.errorExitCode] = 4
  override get message(): string {
    return `RecurrenceNotFound: no recurrence has the name "${this.name}". List them with "duetime recur list", or make it first.`
  }
}

/** The claim or attempt is no longer this caller's: it expired, or somebody else moved the task. */
export class LeaseLost extends Schema.TaggedError<LeaseLost>("duetime/LeaseLost")("LeaseLost", {
  taskId: Schema.String,
  attempt: Schema.Int
}) {
  override readonly [Runtime.errorExitCode] = 4
  override get message(): string {
    return `LeaseLost: attempt ${this.attempt} of task ${this.taskId} no longer holds its lease; nothing was recorded and its transaction was rolled back. The task goes on without this attempt.`
  }
}

/** The server is older than any that duetime is tested on; nothing was started. */
export class ServerTooOld extends Schema.TaggedError<ServerTooOld>("duetime/ServerTooOld")("ServerTooOld", {
  found: Schema.String,
  needed: Schema.Int
}) {
  override readonly [Runtime.errorExitCode] = 3
  override get message(): string {
    return `ServerTooOld: the server is PostgreSQL ${this.found}, duetime needs ${this.needed} or newer. Upgrade the server, or use another one; nothing was changed.`
  }
}

/** The runtime's time zone data miss rules that are in force; nothing was started. */
export class TimeZonesOutdated extends Schema.TaggedError<TimeZonesOutdated>("duetime/TimeZonesOutdated")(
  "TimeZonesOutdated",
  {
    /** The release of the data, as the runtime names it. */
    found: Schema.String,
    needed: Schema.String,
    /** A zone whose offset is wrong. */
    zone: Schema.String
  }
) {
  override readonly [Runtime.errorExitCode] = 3
  override get message(): string {
    return `TimeZonesOutdated: the time zone data of this Node (${this.found}) are wrong for ${this.zone}; duetime needs those of ${this.needed} or newer. Unset NODE_ICU_DATA and ICU_TIMEZONE_FILES_DIR, or use a newer Node; nothing was started.`
  }
}

/** The database's tables are older than this code needs. */
export class SchemaOutdated extends Schema.TaggedError<SchemaOutdated>("duetime/SchemaOutdated")("SchemaOutdated", {
  found: Schema.Int,
  needed: Schema.Int
}) {
  override readonly [Runtime.errorExitCode] = 3
  override get message(): string {
    return `SchemaOutdated: the database is at migration ${this.found}, this duetime needs ${this.needed}. Run "duetime migrate", or set DUETIME_MIGRATE=true.`
  }
}

/** The database was migrated by a newer duetime, which took away what this one needs. */
export class SchemaNewer extends Schema.TaggedError<SchemaNewer>("duetime/SchemaNewer")("SchemaNewer", {
  found: Schema.Int,
  known: Schema.Int,
  /** The first file that this code does not know and that took something away. */
  contraction: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 6
  override get message(): string {
    return `SchemaNewer: the database is at migration ${this.found}, this duetime knows ${this.known}, and ${this.contraction} took away what it needs. Deploy the newer duetime here too.`
  }
}

/** The server may lose acknowledged commits. */
export class UnsafeDurability extends Schema.TaggedError<UnsafeDurability>("duetime/UnsafeDurability")(
  "UnsafeDurability",
  { setting: Schema.String, value: Schema.String }
) {
  override readonly [Runtime.errorExitCode] = 3
  override get message(): string {
    return `UnsafeDurability: PostgreSQL runs with ${this.setting} = ${this.value}, so acknowledged tasks could be lost in a crash. Turn it on, or accept the loss with DUETIME_UNSAFE_DURABILITY=true.`
  }
}
