/**
 * What both candidates share: the event table, the day bounds of a task id, and the shape a layout offers to the
 * drivers, so that exactly the same driver runs exactly the same transitions against either of them.
 */
import { randomFillSync } from "node:crypto"

/** Event types; the numbers are the ones stored in `event.type`. */
export const eventType = {
  TaskScheduled: 1,
  TaskClaimed: 2,
  AttemptStarted: 3,
  AttemptSucceeded: 4,
  AttemptRetried: 5,
  TaskRescheduled: 6,
  TaskDeadLettered: 7
} as const

export const dayMs = 86_400_000

/** Consecutive UTC days, the first one starting at `fromMs`. */
export interface Days {
  readonly fromMs: number
  readonly count: number
}

/**
 * A statement of the hot path. `byDay`: it is run once per day, and `{day}` in its text is the suffix of that day's partitions.
 * Naming the partition is cheaper than pruning to it, and it leaves the planner no range condition to choose by mistake.
 * `idBounds`: it takes the day's id bounds as its last two parameters.
 */
export interface Statement {
  readonly sql: string
  readonly byDay: boolean
  readonly idBounds: boolean
  /** A cheap read that tells whether a claim would find anything: $1 kinds, $2 priorities, $3 low marks, $4 horizon. */
  readonly probe?: string
}

export interface Layout {
  readonly name: string
  readonly schema: string
  readonly tables: (days: Days) => ReadonlyArray<string>
  /** Server-side load of every row of public.seed as a pending task. */
  readonly load: ReadonlyArray<string>
  /** Loads only the projection, without events: enough for a claim. */
  readonly loadProjection: string
  /** $1 task ids, $2 event ids, $3 kinds, $4 priorities, $5 due times, $6 payloads as text. */
  readonly schedule: string
  /** All are run for one claim, oldest day first. $1 kinds, $2 priorities, $3 low marks, $4 quotas, $5 horizon, $6 session, $7 lease ms. */
  readonly claims: ReadonlyArray<Statement>
  /** $1 ids, $2 versions, $3 fences, $4 event ids, $5 session, $6 timeout ms. */
  readonly start: Statement
  /** $1 ids, $2 fences, $3 event ids. */
  readonly succeed: Statement
  /** $1 ids, $2 fences, $3 event ids, $4 due times. */
  readonly retry: Statement
  /** $1 ids, $2 versions, $3 event ids, $4 due times; of tasks that were never moved to another day. */
  readonly reschedule: Statement
  /** State of one task by id: $1. */
  readonly find: string
  /** Tables whose statistics are reported, by name prefix. */
  readonly projections: ReadonlyArray<string>
}

/** The lowest UUIDv7 of a millisecond: a day of ids is [idFloor(day), idFloor(day + 1)). */
export const idFloor = (ms: number): string => {
  const hex = Math.max(0, ms).toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`
}

export const idMs = (id: string): number => Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16)

export const dayOf = (ms: number): number => Math.floor(ms / dayMs) * dayMs

/** A UUIDv7 whose timestamp is `ms` and whose other 74 bits are random. */
export const makeId = (ms: number): string => {
  if (randomAt === randomPool.length) {
    randomFillSync(randomPool)
    randomAt = 0
  }
  const tail = randomPool.toString("hex", randomAt, randomAt + 10)
  randomAt += 10
  const hex = ms.toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7${tail.slice(1, 4)}-${"89ab"[Number.parseInt(tail.slice(4, 5), 16) & 3]}${tail.slice(5, 8)}-${tail.slice(8)}`
}

const randomPool = Buffer.alloc(10_240)
let randomAt = randomPool.length

/** Suffix of a day's partitions: _20261123. */
export const daySuffix = (ms: number): string => `_${new Date(ms).toISOString().slice(0, 10).replaceAll("-", "")}`

export const partitionName = (table: string, ms: number): string => `${table}${daySuffix(ms)}`

export const eachDay = (days: Days): ReadonlyArray<number> =>
  Array.from({ length: days.count }, (_, index) => days.fromMs + index * dayMs)

export const instant = (ms: number): string => `'${new Date(ms).toISOString()}'`

/**
 * The event table of both candidates. `event_kept` holds every id below the first day: it is where unfinished and
 * dead-lettered streams of a retired day go, so the primary key still answers for them.
 */
export const eventTables = (days: Days): ReadonlyArray<string> => [
  `CREATE TABLE event (
     task_id uuid NOT NULL, event_id uuid NOT NULL, at timestamptz NOT NULL, due_at timestamptz, deadline_at timestamptz,
     version int4 NOT NULL, session_id int4, type int2 NOT NULL, attempt int2, data jsonb,
     PRIMARY KEY (task_id, version)
   ) PARTITION BY RANGE (task_id)`,
  `CREATE TABLE event_kept PARTITION OF event FOR VALUES FROM (MINVALUE) TO ('${idFloor(days.fromMs)}')`,
  ...eachDay(days).map(
    (day) =>
      `CREATE TABLE ${partitionName("event", day)} PARTITION OF event FOR VALUES FROM ('${idFloor(day)}') TO ('${idFloor(day + dayMs)}')`
  )
]

/**
 * The same layout with every day of `event` split by version: TaskScheduled with its payload in one part, all that follows
 * in another. In one table the small later events fill the gaps that the large first ones leave on their pages, all over
 * the day, and each such page costs a full-page image per checkpoint.
 */
export const withBirthsApart = (layout: Layout): Layout => ({
  ...layout,
  name: `${layout.name}, births apart`,
  schema: `${layout.schema}_apart`,
  tables: (days) =>
    layout.tables(days).flatMap((statement) => {
      const name = /CREATE TABLE (event_\w+) PARTITION OF event/.exec(statement)?.[1]
      return name === undefined
        ? [statement]
        : [
            `${statement} PARTITION BY RANGE (version)`,
            `CREATE TABLE ${name}_births PARTITION OF ${name} FOR VALUES FROM (1) TO (2)`,
            `CREATE TABLE ${name}_rest PARTITION OF ${name} FOR VALUES FROM (2) TO (MAXVALUE)`
          ]
    })
})

export const loadEvents = `INSERT INTO event (task_id, version, type, event_id, at, due_at, data)
  SELECT task_id, 1, ${eventType.TaskScheduled}, uuidv7(), (SELECT clock_timestamp()), due_at,
    jsonb_build_object('kind', kind_id, 'priority', priority, 'payload', jsonb_build_object('to', 'customer-' || (task_id)::text, 'template', 'overdue-reminder', 'amount', 12345))
  FROM public.seed`
