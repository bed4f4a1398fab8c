/**
 * What the harness and the processes of the contestants say to each other. A contestant is one scheduler in one mode; duetime is one
 * of them and is asked the same.
 */
export type Peer = "duetime" | "pg-boss" | "graphile-worker" | "bullmq" | "effect-queue"

/** `default`: nothing set that need not be. `fast`: the fastest that its documentation leads to. */
export type Mode = "default" | "fast" | "batch-100"

/** 0 is the most urgent of four. */
export type Rank = 0 | 1 | 2 | 3

export type BenchTask = {
  /** Its number within its kind, from 0. */
  readonly n: number
  /** Milliseconds since 1970, whole; null: due at once. */
  readonly dueAtMs: number | null
  /** Null: the peer's default, no priority asked for. */
  readonly rank: Rank | null
}

/** Tasks of one kind. Warm-up tasks are of another kind than the measured ones, which then wait for nobody. */
export type Kind = "warm-up" | "measured"
export const kinds: ReadonlyArray<Kind> = ["warm-up", "measured"]

/** Where the servers are, and what the process is there for: a producer schedules and serves nothing. */
export type Place = {
  readonly mode: Mode
  readonly role: "worker" | "producer"
  /** A database of its own. */
  readonly postgresUrl: string
  /** Of 127.0.0.1; null where there is no Redis. */
  readonly redisPort: number | null
}

/** A scheduler that is opened, its tables made. */
export type Scheduler = {
  /** By its bulk method, in the order given; safe when it resolves. */
  readonly schedule: (kind: Kind, tasks: ReadonlyArray<BenchTask>) => Promise<void>
  /** Begins to run the tasks of the kind; every handler calls `started` first and does nothing else. Resolves with what ends that. */
  readonly serve: (kind: Kind, started: (n: number) => void) => Promise<() => Promise<void>>
  /** How many of the kind have no recorded outcome. Asked only after all `wanted` have started. */
  readonly unsettled: (kind: Kind, wanted: number) => Promise<number>
  /** Recorded start minus due time in ms, where the scheduler records starts. */
  readonly recordedLateMs?: (kind: Kind) => ReadonlyArray<number>
  readonly close: () => Promise<void>
}

/** What a peer's file exports. */
export type SchedulerModule = { readonly open: (place: Place) => Promise<Scheduler> }

/** 100 bytes of JSON or a little more. */
export const payloadOf = (n: number) => ({ n, text: "x".repeat(80) })

/** Bulk methods are given so many at a time. */
export const scheduleBatchTasks = 1_000

export const batchesOf = <A>(all: ReadonlyArray<A>, size: number): ReadonlyArray<ReadonlyArray<A>> =>
  Array.from({ length: Math.ceil(all.length / size) }, (_, index) => all.slice(index * size, (index + 1) * size))

export type Ask =
  | { readonly ask: "open"; readonly peer: Peer; readonly place: Place }
  | { readonly ask: "schedule"; readonly kind: Kind; readonly tasks: ReadonlyArray<BenchTask> }
  | { readonly ask: "serve"; readonly kind: Kind }
  | { readonly ask: "stop"; readonly kind: Kind }
  | { readonly ask: "settle"; readonly kind: Kind; readonly wanted: number; readonly limitMs: number }
  | { readonly ask: "starts"; readonly kind: Kind }
  | { readonly ask: "close" }

export type AskName = Ask["ask"]

export type Answers = {
  readonly open: null
  readonly schedule: { readonly ms: number }
  readonly serve: null
  readonly stop: null
  readonly settle: Settled
  readonly starts: Starts
  readonly close: null
}

export type Settled = {
  /** False: the limit came first, or an outcome is missing. */
  readonly isOver: boolean
  readonly startedCount: number
  /** From the call that began to serve until the last outcome was seen. */
  readonly ms: number
  readonly settledAtMs: number
}

/** In the order of the starts. */
export type Starts = {
  readonly n: Int32Array
  readonly atMs: Float64Array
  readonly recordedLateMs: Float64Array | null
}

export type Answer =
  | { readonly id: number; readonly value: Answers[AskName] }
  | { readonly id: number; readonly failure: string }

export type Question = { readonly id: number; readonly question: Ask }
