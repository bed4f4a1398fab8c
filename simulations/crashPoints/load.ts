/** The client: a small and steady load for each point that is being hit, and a ledger of what was acknowledged. */
import { PgClient } from "@effect/sql-pg"
import { Effect, Fiber, Queue } from "effect"
import { between, draw } from "../chaos/draw.ts"
import { Ledger } from "../chaos/load.ts"
import { Any, Doomed, kindOf, type PointKind } from "./kinds.ts"
import type { Point } from "./points.ts"

const tickMs = 100
const repeatAfterMs = 200
const batchTasksMax = 200
/** Tasks per second of a point's own kind, and of the one that engines are hit with. */
const ratePerSecond = 3
const anyPerSecond = 8
/** Dead letters per second, for whoever announces them. */
const doomedPerSecond = 1
/** Of one kind that are not over: more would only wait, for its processes die faster than they work. */
const liveTasksMax = 60
const countIntervalMs = 1_000
/** Latest due time: beyond the look-ahead of engines, which is 1.5 s. */
const dueMsMax = 2_500
/** Long enough to be at work when somebody else wakes up. */
const longMs = 3_000

export type Client = Effect.Success<ReturnType<typeof openClient>>

/** Offers for whatever is open, until the scope closes; what was offered is repeated until it is answered. */
export const openClient = Effect.fnUntraced(function* (seed: number) {
  const ledger = new Ledger()
  const senders = new Map<string, { readonly queue: Queue.Queue<Entry>; rate: number }>()

  const open = Effect.fnUntraced(function* (kind: PointKind, rate: number) {
    const known = senders.get(kind.kind)
    if (known !== undefined) {
      known.rate = rate
      return
    }
    const queue = yield* Queue.unbounded<Entry>()
    senders.set(kind.kind, { queue, rate })
    yield* Effect.forkScoped(
      Effect.forever(Effect.flatMap(Queue.takeBetween(queue, 1, batchTasksMax), (entries) => ask(kind, entries)))
    )
  })

  const ask = Effect.fnUntraced(function* (kind: PointKind, entries: ReadonlyArray<Entry>) {
    while (true) {
      const receipts = yield* Effect.option(kind.scheduleMany(entries))
      if (receipts._tag === "None") {
        ledger.repeatsCount++
        yield* Effect.sleep(repeatAfterMs)
        continue
      }
      for (const { id } of receipts.value) ledger.acknowledged.set(id, kind.kind)
      return
    }
  })

  const sql = yield* PgClient.PgClient
  let crowded: ReadonlySet<string> = new Set()
  const count = Effect.map(
    sql<{ readonly kind: string }>`SELECT k.name AS kind FROM (
      SELECT kind_id FROM duetime.due UNION ALL SELECT kind_id FROM duetime.in_progress
      UNION ALL SELECT kind_id FROM duetime.parked) live
      JOIN duetime.kind k USING (kind_id) GROUP BY 1 HAVING count(*) >= ${liveTasksMax}::int4`,
    (rows) => {
      crowded = new Set(rows.map(({ kind }) => kind))
    }
  )
  yield* Effect.forkScoped(Effect.forever(Effect.andThen(Effect.ignore(count), Effect.sleep(countIntervalMs))))

  let n = 0
  const offer = Effect.gen(function* () {
    for (let tick = 1; ; tick++) {
      for (const [kind, { queue, rate }] of senders) {
        if (crowded.has(kind)) continue
        const due = Math.floor((tick * tickMs * rate) / 1_000) - Math.floor(((tick - 1) * tickMs * rate) / 1_000)
        for (let i = 0; i < due; i++) {
          ledger.offeredCount++
          Queue.offerUnsafe(queue, entryOf(seed, n++))
        }
      }
      yield* Effect.sleep(tickMs)
    }
  })

  yield* open(Any, anyPerSecond)
  yield* open(Doomed, doomedPerSecond)
  const offering = yield* Effect.forkScoped(offer)
  return {
    ledger,
    open: ({ family, name }: Point) => (family === null ? Effect.void : open(kindOf(name, family), ratePerSecond)),
    close: ({ name }: Point) =>
      Effect.sync(() => {
        const sender = senders.get(`points.${name}`)
        if (sender !== undefined) sender.rate = 0
      }),
    /** Nothing more is offered. */
    end: Fiber.interrupt(offering)
  }
})

type Entry = {
  readonly key: string
  readonly in: number
  readonly payload: { readonly workMs: number; readonly againMs: number }
}

const entryOf = (seed: number, n: number): Entry => {
  const chance = (what: string) => draw(seed, "task", n, what)
  return {
    key: `${seed}-${n}`,
    in: chance("now") < 0.3 ? 0 : Math.floor(between(chance("due"), 0, dueMsMax)),
    payload: {
      workMs: Math.floor(between(chance("work"), 2, 60)),
      againMs: chance("again") < 0.6 ? longMs : Math.floor(between(chance("againWork"), 2, 60))
    }
  }
}
