import { Context, type Effect } from "effect"
import type { Priority } from "../core/Priority.ts"
import type { Json } from "../core/TaskEvent.ts"
import type { TaskId } from "../core/TaskId.ts"
import type { Page } from "./Projections.ts"
import type { StoreUnavailable } from "./StoreError.ts"

/**
 * The port of whoever looks after the database: what is measured of a running system, and judged elsewhere. Nothing here changes
 * anything, needs a migrated database only where it says so, or is on a path that a task takes.
 */
export class Vitals extends Context.Service<
  Vitals,
  {
    readonly server: Effect.Effect<ServerVitals, StoreUnavailable>
    /** Whatever keeps dead rows from being removed, oldest first; `holdersMax` of each kind at most. */
    readonly snapshots: Effect.Effect<ReadonlyArray<SnapshotHolder>, StoreUnavailable>
    readonly schema: Effect.Effect<SchemaVitals, StoreUnavailable>
    /** From here on of a migrated database. */
    readonly tables: Effect.Effect<ReadonlyArray<TableVitals>, StoreUnavailable>
    readonly partitions: Effect.Effect<PartitionVitals, StoreUnavailable>
    /** Sessions that nobody has ended although their leases have run out, the longest silent first; `holdersMax` at most. */
    readonly silentSessions: Effect.Effect<ReadonlyArray<SilentSession>, StoreUnavailable>
    readonly waiting: Effect.Effect<ReadonlyArray<WaitingKind>, StoreUnavailable>
    /** Payloads of tasks that wait, run or are parked, page by page in the order of their rows. */
    readonly pendingPayloads: (after: string | null) => Effect.Effect<Page<PendingPayload>, StoreUnavailable>
    /** How late attempts have started, of the tasks that were born to be due within a span of time until now. */
    readonly drift: (span: DriftSpan) => Effect.Effect<DriftVitals, StoreUnavailable>
  }
>()("duetime/store/Vitals") {}

/** Rows of a list that a person has to go through. */
export const holdersMax = 100
/** Events that a drift is made of, those of the tasks due last: a third of a second on two cores, and 25,000 attempts for its percentiles. */
export const driftEventsMax = 100_000

export type ServerVitals = {
  readonly version: string
  readonly database: string
  /** The database's clock minus this machine's, in ms. */
  readonly clockOffsetMs: number
  readonly settings: ReadonlyArray<ServerSetting>
  /** What ordinary accounts may open. */
  readonly connectionsMax: number
  readonly applications: ReadonlyArray<ApplicationConnections>
}

export type ServerSetting = {
  readonly name: string
  readonly value: string
  /** Where the value comes from, in the server's words: `database`, `user`, `configuration file`, `command line` ... */
  readonly source: string
  readonly account: string
}

export type ApplicationConnections = {
  readonly application: string
  readonly count: number
  readonly idleCount: number
}

export type SnapshotHolder = {
  /** A connection, a transaction that was prepared and never ended, or a replication slot that nobody reads. */
  readonly _tag: "Connection" | "Prepared" | "Slot"
  /** The connection's process id on the server, the transaction's or the slot's name. */
  readonly name: string
  readonly application: string
  readonly state: string
  readonly sinceMs: number
  readonly query: string
}

export type SchemaVitals = {
  /** Number of the last migration that is applied; 0: none is. */
  readonly applied: number
  readonly known: number
  /** Whether this code may work on them: they are its own, or were only added to. */
  readonly fits: boolean
  readonly differences: ReadonlyArray<SchemaDifference>
}

export type SchemaDifference = {
  readonly object: string
  readonly difference: "missing" | "extra" | "changed"
  /** Statements that bring it to what the migrations made, in order. */
  readonly statements: ReadonlyArray<string>
}

export type TableVitals = {
  readonly name: string
  readonly liveRows: number
  readonly deadRows: number
  readonly bytes: number
  readonly isAutovacuumed: boolean
}

export type PartitionVitals = {
  readonly atMs: number
  readonly partitions: ReadonlyArray<PartitionRow>
  /** What maintenance would do next, one line per table; empty where all is as wanted. */
  readonly steps: ReadonlyArray<{
    readonly table: string
    readonly step: "make" | "split" | "retire"
    readonly partitions: ReadonlyArray<string>
    /** Of the first of them. */
    readonly fromMs: number
  }>
}

export type PartitionRow = {
  readonly table: string
  readonly name: string
  /** Null: everything before. */
  readonly fromMs: number | null
  readonly toMs: number
  /** As the server estimates; exact after a VACUUM. */
  readonly rows: number
  readonly deadRows: number
  readonly bytes: number
}

export type SilentSession = {
  readonly sessionId: number
  readonly process: string
  readonly silentMs: number
  /** Claims and attempts that nobody else may touch until it is ended. */
  readonly heldCount: number
}

export type WaitingKind = {
  readonly kind: string
  /** Null: no worker has ever announced it. */
  readonly queue: string | null
  readonly liveSessions: number
  /** `kind` if it is paused by itself, `queue` if only by its queue. */
  readonly pausedBy: "kind" | "queue" | null
  /** Due and not started; counted up to 10,000 per priority. */
  readonly dueCount: number
  readonly oldestDueForMs: number | null
  /** Claimed or running. */
  readonly inProgressCount: number
  /** Claimed by an engine and due for more than a minute, with nobody starting it. */
  readonly unstartedCount: number
  readonly parkedForPersonCount: number
  readonly deadCount: number
  /** Died within the last hour. */
  readonly deadLatelyCount: number
}

export type PendingPayload = { readonly taskId: TaskId; readonly kind: string; readonly payload: Json }

export type DriftSpan = { readonly lastMs: number; readonly kind?: string | undefined }

export type DriftVitals = {
  readonly rows: ReadonlyArray<DriftRow>
  /** Of the tasks due since then: later than asked for where there are more events than `driftEventsMax`. */
  readonly fromMs: number
  readonly isCut: boolean
}

export type DriftRow = {
  readonly kind: string
  readonly queue: string
  readonly priority: Priority
  readonly attemptsCount: number
  /** Started before due: never, or duetime has broken its promise. */
  readonly earlyCount: number
  readonly drift: Percentiles
  readonly claim: Percentiles
  /** Of those that were dispatched. */
  readonly dispatch: Percentiles | null
  readonly delivery: Percentiles
}

/** Milliseconds. */
export type Percentiles = { readonly p50: number; readonly p90: number; readonly p99: number; readonly max: number }
