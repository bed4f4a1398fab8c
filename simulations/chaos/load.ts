/**
 * The client: schedules in an open loop, whatever the system can do, and keeps a ledger of what was acknowledged. An answer that
 * says "unknown" is followed by the same request with the same keys, as a careful caller does.
 */
import { Clock, Effect, Queue } from "effect"
import { between, draw } from "./draw.ts"
import { Block, Call, CallOnce, Commit, Doomed, Fresh, type Kind as PresentKind, kinds, Plain } from "./kinds.ts"
import { PlainBefore } from "./kindsBefore.ts"

const tickMs = 100
const repeatAfterMs = 200
const batchTasksMax = 500
/** A task that blocks its worker, one in so many seconds: each holds a third of the fleet for eight. */
const blockEverySeconds = 40
/** Beyond the lease and the deadline of what else runs there, 4 s and 2 s to record: its outcomes come when others have it. */
const blockMs = 8_000

type Kind = PresentKind | typeof PlainBefore

/** Shares of 1. */
const mix: ReadonlyArray<readonly [share: number, kind: Kind]> = [
  [0.3, Commit],
  [0.3, Call],
  [0.08, CallOnce],
  [0.15, Plain],
  // Some clients are of the revision before.
  [0.05, PlainBefore],
  [0.06, Fresh],
  [0.06, Doomed]
]

/** What the client knows; its senders fill it. */
export class Ledger {
  offeredCount = 0
  /** Requests whose answer was lost or negative, and that were sent again. */
  repeatsCount = 0
  /** Tasks that a repeat found scheduled already: the first request had committed, and its answer was lost. */
  foundCount = 0
  /** Task id to kind. */
  readonly acknowledged = new Map<string, string>()

  get isAnswered(): boolean {
    return this.acknowledged.size === this.offeredCount
  }
}

export type Client = Effect.Success<typeof openClient>

/** Sends what is offered until the scope closes: one request per kind at a time, so that an outage ends in no storm. */
export const openClient = Effect.gen(function* () {
  const ledger = new Ledger()
  const ask = Effect.fnUntraced(function* (kind: Kind, entries: ReadonlyArray<Entry>) {
    while (true) {
      const receipts = yield* Effect.option(kind.scheduleMany(entries))
      if (receipts._tag === "None") {
        ledger.repeatsCount++
        yield* Effect.sleep(repeatAfterMs)
        continue
      }
      for (const { created, id } of receipts.value) {
        if (!created) ledger.foundCount++
        ledger.acknowledged.set(id, kind.kind)
      }
      return
    }
  })
  const waiting = new Map<Kind, Queue.Queue<Entry>>()
  for (const kind of [...kinds, PlainBefore]) {
    const queue = yield* Queue.unbounded<Entry>()
    waiting.set(kind, queue)
    const sendNext = Effect.flatMap(Queue.takeBetween(queue, 1, batchTasksMax), (entries) => ask(kind, entries))
    yield* Effect.forkScoped(Effect.forever(sendNext))
  }
  return {
    ledger,
    offer: (kind: Kind, entry: Entry): void => {
      const queue = waiting.get(kind)
      if (queue === undefined) return
      ledger.offeredCount++
      Queue.offerUnsafe(queue, entry)
    }
  }
})

type Entry = {
  readonly key: string
  readonly in: number
  readonly priority: "critical" | "high" | "normal" | "low"
  readonly payload: { readonly workMs: number; readonly failures: number; readonly note: string }
}

/** Offers for the time given, whatever becomes of it. */
export const load = Effect.fnUntraced(function* (
  client: Client,
  options: { readonly seed: number; readonly ratePerSecond: number; readonly durationMs: number }
) {
  const { durationMs, ratePerSecond, seed } = options
  const fromMs = yield* Clock.currentTimeMillis
  let n = 0
  for (let tick = 1; tick * tickMs <= durationMs; tick++) {
    for (; n < (tick * tickMs * ratePerSecond) / 1_000; n++) {
      const { entry, kind } = drawTask(seed, n, ratePerSecond)
      client.offer(kind, entry)
    }
    yield* Effect.sleep(Math.max(0, fromMs + tick * tickMs - (yield* Clock.currentTimeMillis)))
  }
})

const drawTask = (seed: number, n: number, ratePerSecond: number): { readonly kind: Kind; readonly entry: Entry } => {
  const chance = (what: string) => draw(seed, "task", n, what)
  const blocks = n % (ratePerSecond * blockEverySeconds) === ratePerSecond
  // One in ten is long enough to be met by a kill.
  const workMs = chance("long") < 0.1 ? between(chance("work"), 300, 2_500) : between(chance("work"), 2, 60)
  const kind = blocks ? Block : kindOf(chance("kind"))
  // A worker without `Fresh` must leave it alone, and nothing else may make one fail.
  const failures = kind !== Fresh && chance("failures") < 0.15 ? 1 : 0
  return {
    kind,
    entry: {
      key: `${seed}-${n}`,
      in: chance("now") < 0.3 ? 0 : Math.floor(between(chance("due"), 0, 4_000)),
      priority: priorityOf(chance("priority")),
      payload: { workMs: blocks ? blockMs : Math.floor(workMs), failures, note: "given" }
    }
  }
}

const kindOf = (chance: number): Kind => {
  let sum = 0
  return mix.find(([share]) => (sum += share) > chance)?.[1] ?? Plain
}

const priorityOf = (chance: number): Entry["priority"] =>
  chance < 0.05 ? "critical" : chance < 0.15 ? "high" : chance < 0.8 ? "normal" : "low"
