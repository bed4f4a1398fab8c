import { type Priority, priorities, rankOf } from "../core/Priority.ts"
import type { ClaimedTask } from "../store/TaskStore.ts"
import type { EngineConfig } from "./EngineConfig.ts"

/** A task this engine has claimed and not yet published, and the queue it goes to. */
export type Armed = { readonly task: ClaimedTask; readonly load: QueueLoad }

/** Most urgent first, then the one due first. */
export const byUrgency = (a: Armed, b: Armed): number =>
  rankOf(a.task.priority) - rankOf(b.task.priority) || a.task.dueAtMs - b.task.dueAtMs

/**
 * What an engine holds of one queue between claim and start, and how much that may be.
 *
 * ```
 *   armed in the wheel -> unpublished -> broker lag -> started
 *   `-- due later --'    `------ pressing: due ------'
 * ```
 *
 * Order, cancelling, pausing and fairness are decided in the database, so little should have left it: the window is
 * twice what workers start while it is being refilled. It opens at the speed at which they start and closes
 * within a second when they stop; a service that is down holds `windowTasksMin` tasks and no more.
 */
export class QueueLoad {
  readonly queue: string
  /** Kinds of this queue that some live worker serves. */
  kinds: ReadonlyArray<string> = []

  /** Counted by the wheel. */
  armedCount = 0
  armedCriticalCount = 0
  /** Counted by the dispatcher: released by the wheel and not yet taken by the broker. */
  unpublishedCount = 0
  unpublishedCriticalCount = 0
  /** Dispatches the broker has taken since the engine began. */
  publishedCount = 0

  /** The earliest due time known to be unclaimed, by the database's clock; Infinity when none is known. */
  nextDueAtMs = Number.NEGATIVE_INFINITY
  /** Monotonic time of the last claim of all lanes, and of the critical one alone. */
  claimedAtMs = Number.NEGATIVE_INFINITY
  criticalClaimedAtMs = Number.NEGATIVE_INFINITY
  /** Somebody scheduled a task within the look-ahead since the critical lane was last claimed. */
  criticalWoken = false

  #lag: Readonly<Record<Priority, number>> = { critical: 0, high: 0, normal: 0, low: 0 }
  #lagTotal = 0
  #publishedAtLag = 0
  #startsPerSecond = 0
  #sampledAtMs: number | undefined
  #startsSinceSample = 0
  #claimMs = 0

  constructor(queue: string) {
    this.queue = queue
  }

  /** Takes the broker's answer, given at a monotonic time. */
  observeLag(lag: Readonly<Record<Priority, number>>, atMs: number): void {
    const total = priorities.reduce((sum, priority) => sum + lag[priority], 0)
    const publishedSince = this.publishedCount - this.#publishedAtLag
    this.#startsSinceSample += Math.max(0, publishedSince - (total - this.#lagTotal))
    this.#lag = lag
    this.#lagTotal = total
    this.#publishedAtLag = this.publishedCount
    this.#sample(atMs)
  }

  /** Takes how long a claim has taken: a slow store needs a wider window to stay ahead. */
  observeClaim(claimMs: number): void {
    this.#claimMs += (claimMs - this.#claimMs) * claimWeight
  }

  /** Due and not started. An old lag counts all that was published since on top. */
  get pressingCount(): number {
    return this.unpublishedCount + this.#lagTotal + (this.publishedCount - this.#publishedAtLag)
  }

  get lagCount(): number {
    return this.#lagTotal + (this.publishedCount - this.#publishedAtLag)
  }

  get criticalCount(): number {
    return this.armedCriticalCount + this.unpublishedCriticalCount + this.#lag.critical
  }

  get startsPerSecond(): number {
    return this.#startsPerSecond
  }

  windowTasks(config: EngineConfig): number {
    const wanted = windowRoundTrips * this.#startsPerSecond * ((refillMs + this.#claimMs) / 1_000)
    return Math.max(config.windowTasksMin, Math.min(Math.ceil(wanted), config.windowTasksMax))
  }

  /** Faster at once, slower by the share of a second that has passed: a pause of a worker must not close the window. */
  #sample(atMs: number): void {
    this.#sampledAtMs ??= atMs
    const elapsedMs = atMs - this.#sampledAtMs
    if (elapsedMs < sampleMsMin) return
    const startsPerSecond = (this.#startsSinceSample * 1_000) / elapsedMs
    const weight = startsPerSecond > this.#startsPerSecond ? 1 : Math.min(1, elapsedMs / rateMemoryMs)
    this.#startsPerSecond += (startsPerSecond - this.#startsPerSecond) * weight
    this.#sampledAtMs = atMs
    this.#startsSinceSample = 0
  }
}

/** A window lasts for two round trips, so that workers do not wait while the next claim is under way. */
export const windowRoundTrips = 2
/**
 * A window is refilled about this often, plus the time that a claim takes. More often would give less away; but a claim is
 * cheapest in batches, and at 5,000 starts/s this makes batches of 250 to 500, ten or twenty a second.
 */
export const refillMs = 100
/** Of the newest claim in the average: one slow claim moves it little, ten move it there. */
const claimWeight = 0.2
/** Starts come in batches; a rate over a shorter time would take one batch for a flood. */
const sampleMsMin = 50
/** How long a rate is remembered after the starts have become slower. */
const rateMemoryMs = 1_000
