import type { PgClient } from "@effect/sql-pg"
import { Effect, Queue, Schedule, type Scope } from "effect"

/**
 * Tells engines of work that is due soon: those of this process at once, those of others by NOTIFY. A NOTIFY takes a
 * database-wide lock at commit and caps near 600 writes/s when sent by every inserting transaction (recall.ai, 2025). So only
 * what comes now and then tells others in its own statement, which saves a round trip and a commit before the claim; the rest
 * is told apart, after the commit, one at a time: what arrives while one is under way shares the next.
 */
export type WakeUps = {
  /**
   * What others are to be told by the statement that schedules this; null if they know, or are to be told apart from it. To be
   * asked once for each statement.
   */
  readonly told: (dueAtMs: number, kind: string | undefined) => Told | null
  /** After the commit. With the kind, if it was only one: engines that know of something of it due earlier need not be told again. */
  readonly scheduled: (dueAtMs: number, kind?: string, told?: Told | null) => void
  readonly subscribe: Effect.Effect<Queue.Dequeue<number>, never, Scope.Scope>
  /** A recurrence is to be decided then. */
  readonly decides: (decideAtMs: number) => void
  readonly subscribeRecurrences: Effect.Effect<Queue.Dequeue<number>, never, Scope.Scope>
}

/** The text of a NOTIFY. */
export type Told = string

export const wakeUpChannel = "duetime_due"
/**
 * Between two statements of one process that tell others themselves: 40 a second hold the lock for 20 ms, with a commit of
 * 0.5 ms, so that ten processes together leave it free for most of the time.
 */
const inStatementMsMin = 25
/** Follows the instant in a notification that is about a recurrence. To an engine that does not know it, it is one more hint. */
const ofRecurrence = "recurrence"
/** Work due later than this is found by polling in good time. */
const nearMs = 60_000
/** Wake-ups waiting for one engine; more are dropped, since any one of them makes it look. */
const waitingMax = 64
const relistenDelayMs = 1_000
/** A hint may be lost with the server, so its commit does not wait for the disk. */
const notifySql = `SELECT set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`
/**
 * Who knows of something due later than this will claim at that time, and see then what is due after it. Before, one who looks
 * ahead may have claimed already: the longest look-ahead is 4 s, and a second to spare.
 */
const knownMsMin = 5_000

export const make = Effect.fnUntraced(function* (
  client: PgClient.PgClient,
  nowMs: () => number,
  /** Told of every hint, own or foreign, before the engines are. */
  onHint: (dueAtMs: number) => void
): Effect.fn.Return<WakeUps, never, Scope.Scope> {
  const engines = new Set<Queue.Queue<number>>()
  const deciders = new Set<Queue.Queue<number>>()
  const decisionsOutbox = yield* Queue.sliding<number>(1)
  let untoldDecisionMs = Infinity
  const outbox = yield* Queue.sliding<number>(1)
  /** The earliest due time of each kind, of what others have yet to be told; what is of several kinds is of none. */
  let untold = new Map<string, number>()
  const known = new Map<string, number>()
  let inStatementAtMs = Number.NEGATIVE_INFINITY

  const tell = (dueAtMs: number) => {
    onHint(dueAtMs)
    for (const engine of engines) Queue.offerUnsafe(engine, dueAtMs)
  }

  /** Others would look later than this is due, as far as is known. */
  const isNews = (dueAtMs: number, kind: string, atMs: number) => {
    const knownDueAtMs = kind === "" ? undefined : known.get(kind)
    const isKnown = knownDueAtMs !== undefined && knownDueAtMs <= dueAtMs && knownDueAtMs > atMs + knownMsMin
    return dueAtMs <= atMs + nearMs && !isKnown
  }

  const send = Effect.gen(function* () {
    yield* Queue.take(outbox)
    const telling = untold
    untold = new Map()
    yield* client.unsafe(notifySql, [wakeUpChannel, textOf(Math.min(...telling.values()))])
    for (const [kind, dueAtMs] of telling) known.set(kind, dueAtMs)
  })
  const tellDeciders = (decideAtMs: number) => {
    for (const decider of deciders) Queue.offerUnsafe(decider, decideAtMs)
  }

  const sendDecisions = Effect.gen(function* () {
    yield* Queue.take(decisionsOutbox)
    const decideAtMs = untoldDecisionMs
    untoldDecisionMs = Infinity
    yield* client.unsafe(notifySql, [wakeUpChannel, `${textOf(decideAtMs)}/${ofRecurrence}`])
  })
  yield* Effect.forEach(
    [send, sendDecisions],
    (sending) =>
      sending.pipe(
        Effect.catch((error) => Effect.logDebug("a wake-up was not sent; polling finds the work", error)),
        Effect.forever,
        Effect.forkScoped
      ),
    { discard: true }
  )

  const listen = Effect.scoped(
    Effect.gen(function* () {
      const notifications = yield* client.listen(wakeUpChannel)
      while (true) {
        const { payload } = yield* Queue.take(notifications)
        const [processId, due, about] = payload.split("/")
        const dueAtMs = Number(due)
        if (processId === String(process.pid) || !Number.isFinite(dueAtMs)) continue
        if (about === ofRecurrence) tellDeciders(dueAtMs)
        else tell(dueAtMs)
      }
    })
  )
  const listening = yield* Effect.cached(
    // The queue of a broken connection fails for good: listen again on a new one. Meanwhile engines poll.
    Effect.forkScoped(
      listen.pipe(
        Effect.catch((error) => Effect.logDebug("wake-ups are interrupted; polling goes on", error)),
        Effect.repeat(Schedule.spaced(relistenDelayMs))
      )
    )
  )

  const subscribedTo = (queues: Set<Queue.Queue<number>>) =>
    Effect.acquireRelease(
      Effect.gen(function* () {
        yield* listening
        const queue = yield* Queue.sliding<number>(waitingMax)
        queues.add(queue)
        return queue
      }),
      (queue) => Effect.sync(() => queues.delete(queue))
    )

  return {
    told: (dueAtMs, kind = "") => {
      const atMs = nowMs()
      if (!isNews(dueAtMs, kind, atMs) || untold.size > 0 || atMs < inStatementAtMs + inStatementMsMin) return null
      inStatementAtMs = atMs
      return textOf(dueAtMs)
    },
    scheduled: (dueAtMs, kind = "", told = null) => {
      const atMs = nowMs()
      if (dueAtMs > atMs + nearMs) return
      tell(dueAtMs)
      if (told !== null) known.set(kind, dueAtMs)
      if (told !== null || !isNews(dueAtMs, kind, atMs)) return
      untold.set(kind, Math.min(untold.get(kind) ?? Infinity, dueAtMs))
      Queue.offerUnsafe(outbox, dueAtMs)
    },
    decides: (decideAtMs) => {
      if (decideAtMs > nowMs() + nearMs) return
      tellDeciders(decideAtMs)
      untoldDecisionMs = Math.min(untoldDecisionMs, decideAtMs)
      Queue.offerUnsafe(decisionsOutbox, decideAtMs)
    },
    subscribe: subscribedTo(engines),
    subscribeRecurrences: subscribedTo(deciders)
  }
})

const textOf = (dueAtMs: number): Told => `${process.pid}/${dueAtMs}`
