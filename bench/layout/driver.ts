/**
 * Runs the transitions of either layout through prepared statements, in batches sorted by id (unsorted batches of two
 * sessions deadlock) and, where a statement asks for it, grouped by the day of the id so that one partition is planned.
 */
import { type PgConnection, PgTypes } from "@effect/sql-pg"
import { Effect, Result } from "effect"
import { dayMs, dayOf, idFloor, idMs, type Layout, makeId, type Statement } from "./layout.ts"

export interface Task {
  readonly id: string
  readonly kind: number
  readonly priority: number
  readonly dueMs: number
}

/** A claimed or started task: `fence` is the event id that gave the right to move it on. */
export interface Held {
  readonly id: string
  readonly version: number
  readonly fence: string
  readonly dueMs: number
  readonly kind: number
  readonly priority: number
}

export interface Lanes {
  readonly kinds: ReadonlyArray<number>
  readonly priorities: ReadonlyArray<number>
  readonly lowMs: ReadonlyArray<number>
  readonly quotas: ReadonlyArray<number>
}

/** 5 kinds with 4 priorities: 20 lanes. */
export const kindCount = 5
export const priorityCount = 4

export const makeLanes = (quota: number, lowMs: number, priorities = [0, 1, 2, 3]): Lanes => {
  const pairs = Array.from({ length: kindCount }, (_, kind) => priorities.map((priority) => ({ kind, priority }))).flat()
  return {
    kinds: pairs.map((pair) => pair.kind),
    priorities: pairs.map((pair) => pair.priority),
    lowMs: pairs.map(() => lowMs),
    quotas: pairs.map(() => quota)
  }
}

export const makeTask = (due: number): Task => {
  const dueMs = Math.floor(due)
  return {
    id: makeId(dueMs),
    kind: Math.floor(Math.random() * kindCount),
    priority: Math.floor(Math.random() * priorityCount),
    dueMs
  }
}

/** About 120 bytes of jsonb with a recipient, a template and an amount. */
const payloadOf = (task: Task): string =>
  `{"kind":${task.kind},"priority":${task.priority},"payload":{"to":"customer-${task.id}","template":"overdue-reminder","amount":12345}}`

export const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))
const uuids = (values: ReadonlyArray<string>) => array(values, PgTypes.OID.uuid)
const int2s = (values: ReadonlyArray<number>) => array(values, PgTypes.OID.int2)
const int4s = (values: ReadonlyArray<number>) => array(values, PgTypes.OID.int4)
const instants = (values: ReadonlyArray<number>) => array(values, PgTypes.OID.timestamptz)

export const make = (connection: PgConnection.PgConnection, layout: Layout, session: number) => {
  const grouped = <A extends { readonly id: string }, B, E>(
    statement: Statement,
    rows: ReadonlyArray<A>,
    run: (rows: ReadonlyArray<A>, bounds: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<B>, E>
  ): Effect.Effect<ReadonlyArray<B>, E> => {
    const sorted = rows.toSorted((left, right) => (left.id < right.id ? -1 : 1))
    if (!statement.byDay) return sorted.length === 0 ? Effect.succeed([]) : run(sorted, [])
    return Effect.map(
      Effect.forEach(byDay(sorted), ([day, group]) => run(group, [PgTypes.uuid(idFloor(day)), PgTypes.uuid(idFloor(day + dayMs))])),
      (results) => results.flat()
    )
  }

  const schedule = (tasks: ReadonlyArray<Task>) => {
    const sorted = tasks.toSorted((left, right) => (left.id < right.id ? -1 : 1))
    return connection.queryValues(layout.schedule, [
      uuids(sorted.map((task) => task.id)),
      uuids(sorted.map((task) => makeId(task.dueMs))),
      int2s(sorted.map((task) => task.kind)),
      int2s(sorted.map((task) => task.priority)),
      instants(sorted.map((task) => task.dueMs)),
      array(sorted.map(payloadOf), PgTypes.OID.text)
    ])
  }

  /** Claims up to each lane's quota with low mark < due <= highMs; the id bounds of a claim by day follow lowMs and highMs. */
  const claim = Effect.fnUntraced(function* (lanes: Lanes, lowMs: number, highMs: number) {
    const held: Array<Held> = []
    for (const statement of layout.claims) {
      const parameters = claimParameters(lanes, lowMs, highMs, session)
      const bounds = statement.byDay ? [PgTypes.uuid(idFloor(dayOf(lowMs))), PgTypes.uuid(idFloor(dayOf(highMs) + dayMs))] : []
      const rows = yield* connection.queryValues(statement.sql, [...parameters, ...bounds])
      for (const row of rows) {
        const [id, version, fence, due, kind, priority] = row
        held.push({
          id: String(id),
          version: Number(version),
          fence: String(fence),
          dueMs: due instanceof Date ? due.getTime() : 0,
          kind: Number(kind),
          priority: Number(priority)
        })
      }
    }
    return held
  })

  const start = (held: ReadonlyArray<Held>) => {
    const due = new Map(held.map((task) => [task.id, task]))
    return grouped(layout.start, held, (rows, bounds) =>
      Effect.map(
        connection.queryValues(layout.start.sql, [
          uuids(rows.map((row) => row.id)),
          int4s(rows.map((row) => row.version)),
          uuids(rows.map((row) => row.fence)),
          uuids(rows.map((row) => makeId(row.dueMs))),
          PgTypes.int4(session),
          PgTypes.int4(60_000),
          ...bounds
        ]),
        (values) =>
          values.flatMap(([id, version, fence]): ReadonlyArray<Held> => {
            const claimed = due.get(String(id))
            return claimed === undefined ? [] : [{ ...claimed, version: Number(version), fence: String(fence) }]
          })
      )
    )
  }

  const succeed = (held: ReadonlyArray<Held>) =>
    grouped(layout.succeed, held, (rows, bounds) =>
      connection.queryValues(layout.succeed.sql, [
        uuids(rows.map((row) => row.id)),
        uuids(rows.map((row) => row.fence)),
        uuids(rows.map((row) => makeId(row.dueMs))),
        ...bounds
      ])
    )

  const retry = (held: ReadonlyArray<Held & { readonly retryMs: number }>) =>
    grouped(layout.retry, held, (rows, bounds) =>
      connection.queryValues(layout.retry.sql, [
        uuids(rows.map((row) => row.id)),
        uuids(rows.map((row) => row.fence)),
        uuids(rows.map((row) => makeId(row.dueMs))),
        instants(rows.map((row) => row.retryMs)),
        ...bounds
      ])
    )

  /** Pending tasks at version 1 to another due time. */
  const reschedule = (tasks: ReadonlyArray<Task & { readonly newDueMs: number }>) =>
    grouped({ sql: layout.reschedule.sql, byDay: true }, tasks, (rows, bounds) => {
      const day = dayOf(idMs(rows[0]?.id ?? ""))
      const dueBounds = layout.reschedule.dueBounds ? [PgTypes.timestamptz(day), PgTypes.timestamptz(day + dayMs)] : []
      return connection.queryValues(layout.reschedule.sql, [
        uuids(rows.map((row) => row.id)),
        int4s(rows.map(() => 1)),
        uuids(rows.map((row) => makeId(row.newDueMs))),
        instants(rows.map((row) => row.newDueMs)),
        ...bounds,
        ...dueBounds
      ])
    })

  return { schedule, claim, start, succeed, retry, reschedule, connection, layout }
}

export type Driver = ReturnType<typeof make>

export const claimParameters = (lanes: Lanes, lowMs: number, highMs: number, session: number): ReadonlyArray<unknown> => [
  int2s(lanes.kinds),
  int2s(lanes.priorities),
  instants(lanes.lowMs),
  int4s(lanes.quotas),
  PgTypes.timestamptz(lowMs),
  PgTypes.timestamptz(highMs),
  PgTypes.int4(session),
  PgTypes.int4(30_000)
]

const byDay = <A extends { readonly id: string }>(rows: ReadonlyArray<A>): ReadonlyArray<readonly [number, ReadonlyArray<A>]> => {
  const groups = new Map<number, Array<A>>()
  for (const row of rows) {
    const day = dayOf(idMs(row.id))
    const group = groups.get(day)
    if (group === undefined) groups.set(day, [row])
    else group.push(row)
  }
  return [...groups]
}
