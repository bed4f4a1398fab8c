/**
 * Repairs what crashed processes leave behind, at most one second after their leases end, and keeps the partitions ready.
 *
 * The store decides by the database's clock which leases have ended. What it cannot know is whether those sessions had a
 * chance to renew: after a database outage, a frozen machine or a step of a clock all leases look ended at once, and
 * expiring them would repeat every running attempt of a healthy fleet. Hence the rule of quiet time: nothing expires until
 * this supervisor has seen the database without a gap for one whole lease, by its monotonic clock. A failed look, a pause
 * between two looks of more than half a lease, and a step of the database's clock begin the quiet time anew.
 *
 * The same look tells the engine what is served, so that an idle one asks once a second for both.
 *
 * Any number of supervisors may run: each expiry is a compare-and-set, and whoever loses it has nothing to do.
 */
import { Clock, Effect, Metric, Random } from "effect"
import { expiredLeasesTotal, expiredTasksTotal } from "../DuetimeMetrics.ts"
import type { Session } from "../store/Session.ts"
import type { TaskStore } from "../store/TaskStore.ts"
import { type Beat, beatMs } from "./Beat.ts"
import type { KindDirectory } from "./KindDirectory.ts"
import { Outage } from "./Outage.ts"

export type Supervisor = {
  readonly supervise: Effect.Effect<never>
  readonly maintain: Effect.Effect<never>
  readonly expiredCount: () => number
}

export const make = Effect.fnUntraced(function* (parts: {
  readonly store: TaskStore["Service"]
  readonly session: Session["Service"]
  readonly directory: KindDirectory
  readonly beat: Beat
  /** Told when kinds may be claimed that could not be before. */
  readonly onNewKinds: () => void
}): Effect.fn.Return<Supervisor> {
  const { beat, directory, onNewKinds, session, store } = parts
  const clock = yield* Clock.Clock
  const monotonicMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const quietTime = new QuietTime(session.leaseMs)
  const storeOutage = new Outage("The store (expire)", monotonicMs)
  const maintainOutage = new Outage("The store (maintain)", monotonicMs)
  // Two looks fit into half a lease even if it is very short.
  const tickMs = Math.min(beatMs, session.leaseMs / 4)
  let expiredCount = 0

  const tick = Effect.gen(function* () {
    const askedAtMs = monotonicMs()
    const hear = directory.ask(askedAtMs)
    const { anyExpired, databaseMs, kinds } = yield* store.look
    const answeredAtMs = monotonicMs()
    if (hear(kinds)) onNewKinds()
    // By the answer itself: the estimate of the database's clock learns of a step only seconds later.
    const wayMs = (answeredAtMs - askedAtMs) / 2
    const isQuiet = quietTime.looked(answeredAtMs, databaseMs - askedAtMs - wayMs, wayMs)
    if (!anyExpired) return
    if (isQuiet) yield* expire(databaseMs)
    // It is the database's clock alone that says so: no quiet time is needed.
    yield* expireTasks
  })

  const expireTasks = Effect.gen(function* () {
    let count = 0
    for (let batch = 0; batch < expireBatchesMax; batch++) {
      const { lookedAtCount, taskIds } = yield* store.expireTasks(expireBatchSizeMax)
      count += taskIds.length
      if (lookedAtCount < expireBatchSizeMax) break
    }
    if (count === 0) return
    yield* Metric.update(expiredTasksTotal, count)
    yield* Effect.logInfo(`Ended tasks that expired before they started: ${count}.`)
  })

  /** What had ended then: until the database is asked its clock may be set, and the look has not seen that. */
  const expire = Effect.fnUntraced(function* (lookedAtMs: number) {
    let claims = 0
    let attempts = 0
    for (let batch = 0; batch < expireBatchesMax; batch++) {
      const expired = yield* store.expire(expireBatchSizeMax, lookedAtMs)
      for (const { from } of expired) {
        if (from === "claimed") claims++
        else attempts++
      }
      if (expired.length < expireBatchSizeMax) break
    }
    if (claims + attempts === 0) return
    expiredCount += claims + attempts
    yield* Metric.update(Metric.withAttributes(expiredLeasesTotal, { stage: "claimed" }), claims)
    yield* Metric.update(Metric.withAttributes(expiredLeasesTotal, { stage: "running" }), attempts)
    yield* Effect.logInfo(
      `Repaired after lost sessions or passed deadlines: ${claims} claims given back, ${attempts} attempts ended.`
    )
  })

  const supervise = Effect.gen(function* () {
    while (true) {
      yield* storeOutage.attempt(tick)
      if (storeOutage.isOpen) quietTime.failed()
      // The end of the quiet time is waited for by what a whole fleet that was down held: it need not wait for the beat as well.
      yield* Effect.sleep(Math.min(beat.inMs(tickMs), quietTime.leftMs(monotonicMs())))
    }
  })

  const maintain = Effect.gen(function* () {
    let isTold = false
    while (true) {
      const maintained = yield* maintainOutage.attempt(store.maintain)
      if (maintained !== undefined && maintained.made.length + maintained.dropped.length > 0) {
        yield* Effect.logInfo(
          `Partitions: made ${maintained.made.join(", ") || "none"}, dropped ${maintained.dropped.join(", ") || "none"}.`
        )
      }
      if (maintained !== undefined && maintained.leftTo !== null && !isTold) {
        isTold = true
        yield* Effect.logInfo(
          `Partitions are the business of ${maintained.leftTo}, of which this account is no member: run "duetime partitions ensure" with one every day.`
        )
      }
      // Spread, so that the engines of a fleet started together do not queue up for the same lock.
      const spread = yield* Random.nextBetween(0.8, 1.2)
      yield* Effect.sleep(maintainOutage.isOpen ? maintainOutage.backoffMs : maintainMs * spread)
    }
  })

  return { supervise, maintain, expiredCount: () => expiredCount }
})

/** Pure: whether the database has been seen for one whole lease without a gap. */
export class QuietTime {
  readonly #leaseMs: number
  #sinceMs: number | undefined
  #lookedAtMs = 0
  #databaseAheadMs = 0
  #errorMs = 0

  constructor(leaseMs: number) {
    this.#leaseMs = leaseMs
  }

  /**
   * The database has answered.
   *
   * @param atMs monotonic
   * @param databaseAheadMs the database's clock minus monotonic time
   * @param errorMs by how much that may be wrong: half the way to the database and back
   * @returns whether leases may be believed
   */
  looked(atMs: number, databaseAheadMs: number, errorMs = 0): boolean {
    const isBroken =
      this.#sinceMs === undefined ||
      atMs - this.#lookedAtMs > this.#leaseMs / 2 ||
      Math.abs(databaseAheadMs - this.#databaseAheadMs) > clockStepMsMax + errorMs + this.#errorMs
    if (isBroken) this.#sinceMs = atMs
    this.#lookedAtMs = atMs
    this.#databaseAheadMs = databaseAheadMs
    this.#errorMs = errorMs
    return atMs - (this.#sinceMs ?? atMs) >= this.#leaseMs
  }

  /** Whole milliseconds until a look will find that it has lasted long enough; Infinity if the last one has, or it has not begun. */
  leftMs(atMs: number): number {
    const sinceMs = this.#sinceMs
    if (sinceMs === undefined || this.#lookedAtMs - sinceMs >= this.#leaseMs) return Number.POSITIVE_INFINITY
    return Math.max(1, Math.ceil(this.#leaseMs - (atMs - sinceMs)))
  }

  failed(): void {
    this.#sinceMs = undefined
  }
}

const expireBatchSizeMax = 500
/** 10,000 per tick: a storm of expiries must not hold up its own repair, nor everybody else. */
const expireBatchesMax = 20
/** A larger change between two looks is a step of the database's clock, not a slow answer. */
const clockStepMsMax = 500
const maintainMs = 60_000
