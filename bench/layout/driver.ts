/**
 * Runs the transitions of either layout through prepared statements, in batches sorted by id (unsorted batches of two
 * sessions deadlock) and, where a statement asks for it, grouped by the day of the id so that one partition is planned.
 */
import { type PgConnection, PgTypes } from "@effect/sql-pg"
import { Effect, Result } from "effect"
import { dayMs, dayOf, daySuffix, idFloor, idMs, type Layout, makeId, type Statement } from "./layout.ts"

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
  /** Which of the layout's claim statements found it. */
  readonly source: number
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
  const pairs = Array.from({ length: kindCount }, (_, kind) =>
    priorities.map((priority) => ({ kind, priority }))
  ).flat()
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
export const uuid = PgTypes.uuid
export const uuids = (values: ReadonlyArray<string>) => array(values, PgTypes.OID.uuid)
const int2s = (values: ReadonlyArray<number>) => array(values, PgTypes.OID.int2)
const int4s = (values: ReadonlyArray<number>) => array(values, PgTypes.OID.int4)
const instants = (values: ReadonlyArray<number>) => array(values, PgTypes.OID.timestamptz)

export const make = (connection: PgConnection.PgConnection, layout: Layout, session: number) => {
  const texts = new Map<string, string>()
  /** The statement's text with the partitions of a day named in it. */
  const textOf = (statement: Statement, day: number): string => {
    if (!statement.byDay) return statement.sql
    const key = `${day}${statement.sql}`
    const known = texts.get(key)
    if (known !== undefined) return known
    const text = statement.sql.replaceAll("{day}", daySuffix(day))
    texts.set(key, text)
    return text
  }

  const grouped = <A extends { readonly id: string }, B, E>(
    statement: Statement,
    rows: ReadonlyArray<A>,
    run: (text: string, rows: ReadonlyArray<A>, bounds: ReadonlyArray<unknown>) => Effect.Effect<ReadonlyArray<B>, E>
  ): Effect.Effect<ReadonlyArray<B>, E> => {
    const sorted = rows.toSorted((left, right) => (left.id < right.id ? -1 : 1))
    if (!statement.byDay) return sorted.length === 0 ? Effect.succeed([]) : run(statement.sql, sorted, [])
    return Effect.map(
      Effect.forEach(byDay(sorted), ([day, group]) =>
        run(
          textOf(statement, day),
          group,
          statement.idBounds ? [PgTypes.uuid(idFloor(day)), PgTypes.uuid(idFloor(day + dayMs))] : []
        )
      ),
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

  /**
   * Claims up to each lane's quota with low mark < due <= horizonMs, oldest day first. `marks` are low marks per lane for
   * each of the layout's claim statements: they read different tables, and one may be ahead of the other.
   */
  const claim = Effect.fnUntraced(function* (
    lanes: Lanes,
    fromMs: number,
    horizonMs: number,
    marks?: ReadonlyArray<ReadonlyArray<number>>
  ) {
    const held: Array<Held> = []
    for (const [source, statement] of layout.claims.entries()) {
      const parameters = claimParameters({ ...lanes, lowMs: marks?.[source] ?? lanes.lowMs }, horizonMs, session)
      if (statement.probe !== undefined) {
        const found = yield* connection.queryValues(statement.probe, [...parameters.slice(0, 3), parameters[4]])
        if (found.length === 0) continue
      }
      const first = dayOf(fromMs + 1)
      const last = statement.byDay ? dayOf(horizonMs) : first
      for (let day = first; day <= last; day += dayMs) {
        const rows = yield* connection.queryValues(textOf(statement, day), parameters)
        for (const row of rows) held.push(heldOf(row, source))
      }
    }
    return held
  })

  const start = (held: ReadonlyArray<Held>) => {
    const due = new Map(held.map((task) => [task.id, task]))
    return grouped(layout.start, held, (text, rows, bounds) =>
      Effect.map(
        connection.queryValues(text, [
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
    grouped(layout.succeed, held, (text, rows, bounds) =>
      connection.queryValues(text, [
        uuids(rows.map((row) => row.id)),
        uuids(rows.map((row) => row.fence)),
        uuids(rows.map((row) => makeId(row.dueMs))),
        ...bounds
      ])
    )

  const retry = (held: ReadonlyArray<Held & { readonly retryMs: number }>) =>
    grouped(layout.retry, held, (text, rows, bounds) =>
      connection.queryValues(text, [
        uuids(rows.map((row) => row.id)),
        uuids(rows.map((row) => row.fence)),
        uuids(rows.map((row) => makeId(row.dueMs))),
        instants(rows.map((row) => row.retryMs)),
        ...bounds
      ])
    )

  /** Pending tasks at version 1 to another due time. */
  const reschedule = (tasks: ReadonlyArray<Task & { readonly newDueMs: number }>) =>
    grouped(layout.reschedule, tasks, (text, rows, bounds) =>
      connection.queryValues(text, [
        uuids(rows.map((row) => row.id)),
        int4s(rows.map(() => 1)),
        uuids(rows.map((row) => makeId(row.newDueMs))),
        instants(rows.map((row) => row.newDueMs)),
        ...bounds
      ])
    )

  /** Claims a window of due times to its end in batches, moving each lane's low mark; each batch goes to `use`. */
  const sweep = Effect.fnUntraced(function* <E, R>(
    fromMs: number,
    toMs: number,
    quota: number,
    use: (held: ReadonlyArray<Held>) => Effect.Effect<unknown, E, R>,
    tasksMax = Number.POSITIVE_INFINITY
  ) {
    const lanes = makeLanes(quota, fromMs)
    const marks = layout.claims.map(() => [...lanes.lowMs])
    for (let total = 0; ;) {
      const held = yield* claim(lanes, fromMs, toMs, marks)
      total += held.length
      for (const task of held) {
        const lane = task.kind * priorityCount + task.priority
        const own = marks[task.source]
        if (own !== undefined) own[lane] = Math.max(own[lane] ?? fromMs, task.dueMs - 1)
      }
      yield* use(held)
      if (held.length === 0 || total >= tasksMax) return { total, lowMs: marks[0] ?? lanes.lowMs }
    }
  })

  return { sweep, schedule, claim, start, succeed, retry, reschedule, connection, layout }
}

export type Driver = ReturnType<typeof make>

export const claimParameters = (lanes: Lanes, horizonMs: number, session: number): ReadonlyArray<unknown> => [
  int2s(lanes.kinds),
  int2s(lanes.priorities),
  instants(lanes.lowMs),
  int4s(lanes.quotas),
  PgTypes.timestamptz(horizonMs),
  PgTypes.int4(session),
  PgTypes.int4(30_000)
]

export const heldOf = (row: ReadonlyArray<unknown>, source: number): Held => {
  const [id, version, fence, due, kind, priority] = row
  return {
    id: String(id),
    version: Number(version),
    fence: String(fence),
    dueMs: due instanceof Date ? due.getTime() : 0,
    kind: Number(kind),
    priority: Number(priority),
    source
  }
}

/** Whether the task's id was born before an instant. */
export const bornBefore = (task: Held, ms: number): boolean => idMs(task.id) < ms

const byDay = <A extends { readonly id: string }>(
  rows: ReadonlyArray<A>
): ReadonlyArray<readonly [number, ReadonlyArray<A>]> => {
  const groups = new Map<number, Array<A>>()
  for (const row of rows) {
    const day = dayOf(idMs(row.id))
    const group = groups.get(day)
    if (group === undefined) groups.set(day, [row])
    else group.push(row)
  }
  return [...groups]
}
