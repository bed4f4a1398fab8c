import type { KindCaps } from "../core/KindPolicy.ts"
import { type Priority, priorities, rankOf } from "../core/Priority.ts"
import type { ClaimedTask } from "../store/TaskStore.ts"
import type { EngineConfig } from "./EngineConfig.ts"
import { LaneFloors } from "./LaneFloors.ts"

/** A task this engine has claimed and not yet published, and the queue it goes to. */
export type Armed = {
  readonly task: ClaimedTask
  readonly load: QueueLoad
  /** How often it was published before; absent: never. */
  readonly repeat?: number
  /** The database's time, as estimated, when this engine knew of its claim; absent: somebody's before. */
  readonly claimedAtMs?: number
}

export type LaneCounts = Record<Priority, number>

export const noTasks = (): LaneCounts => ({ critical: 0, high: 0, normal: 0, low: 0 })

/** A kind whose starts are capped: claimed by itself, when due and not ahead, as many as the store lets through. */
export type CappedKind = {
  readonly kind: string
  caps: KindCaps
  /** As of the load it belongs to. */
  nextDueAtMs: number
  claimedAtMs: number
  /** Monotonic time before which the cap lets nothing through. */
  openAtMs: number
  emptyClaims: number
}

/** Most urgent first, then the one due first. */
export const byUrgency = (a: Armed, b: Armed): number =>
  rankOf(a.task.priority) - rankOf(b.task.priority) || a.task.dueAtMs - b.task.dueAtMs

/**
 * What an engine holds of one queue between claim and start, and how much that may be.
 *
 * ```
 *   armed in the wheel -> unpublished -> outstanding -> started
 *   `-- due later --'    `------ pressing: due ------'
 * ```
 *
 * Outstanding is what the broker has taken and nobody is known to have started (`Outstanding.ts`).
 *
 * Order, cancelling, pausing and fairness are decided in the database, so little should have left it: the window is
 * twice what workers start while it is being refilled. It opens at the speed at which they start and closes
 * within a second when they stop; a service that is down holds `windowTasksMin` tasks and no more.
 */
export class QueueLoad {
  readonly queue: string
  /** Kinds of this queue that some live worker serves, that are not paused and have no caps. */
  kinds: ReadonlyArray<string> = []
  /** The same of those with caps. */
  capped: ReadonlyArray<CappedKind> = []
  /** Processes that serve the queue, anywhere. */
  processes = 0
  /** What each lower lane is owed while the more urgent ones take all there is. */
  readonly floors = new LaneFloors()

  /** Counted by the wheel. */
  armedCount = 0
  readonly armedIn = noTasks()
  /** Counted by the dispatcher: released by the wheel and not yet taken by the broker. */
  unpublishedCount = 0
  readonly unpublishedIn = noTasks()
  /** Dispatches the broker has taken since the engine began. */
  publishedCount = 0

  /** The earliest due time known to be unclaimed, by the database's clock; Infinity when none is known. */
  nextDueAtMs = Number.NEGATIVE_INFINITY
  /** Monotonic time of the last claim of all lanes, of the critical one alone, and of what lower ones are owed. */
  claimedAtMs = Number.NEGATIVE_INFINITY
  criticalClaimedAtMs = Number.NEGATIVE_INFINITY
  floorClaimedAtMs = Number.NEGATIVE_INFINITY
  /** Somebody scheduled a task within the look-ahead since the critical lane was last claimed. */
  criticalWoken = false
  /** Claims of all lanes in a row that found nothing. */
  emptyClaims = 0

  #lag: Readonly<LaneCounts> = noTasks()
  #lagTotal = 0
  #publishedAtLag = 0
  #startsPerSecond = 0
  #sampledAtMs: number | undefined
  #startsSinceSample = 0
  #claimMs = 0
  #newsMs = 0

  constructor(queue: string) {
    this.queue = queue
  }

  /** Something is due at this instant, or may be. */
  expectDueAt(dueAtMs: number): void {
    this.nextDueAtMs = Math.min(this.nextDueAtMs, dueAtMs)
    for (const capped of this.capped) capped.nextDueAtMs = Math.min(capped.nextDueAtMs, dueAtMs)
  }

  /** Takes what is outstanding at a monotonic time. */
  observeLag(lag: Readonly<LaneCounts>, atMs: number): void {
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

  /** Takes that a start became known: by the worker's hint, or only by a look-up, which makes the way longer. */
  observeNews(way: "hint" | "look-up"): void {
    this.#newsMs += ((way === "hint" ? 0 : lookUpMs) - this.#newsMs) * newsWeight
  }

  /** Takes that a task was started that the broker had not taken yet: a worker has pulled it. */
  observePulled(): void {
    this.#startsSinceSample++
    this.observeNews("look-up")
  }

  /** Due and not started. An old lag counts all that was published since on top. */
  get pressingCount(): number {
    return this.unpublishedCount + this.#lagTotal + (this.publishedCount - this.#publishedAtLag)
  }

  get lagCount(): number {
    return this.#lagTotal + (this.publishedCount - this.#publishedAtLag)
  }

  /** Held of one lane, armed ones included. */
  heldIn(priority: Priority): number {
    return this.armedIn[priority] + this.unpublishedIn[priority] + this.#lag[priority]
  }

  /** Takes which kinds may be claimed from now on. What waits of a kind that could not be claimed until now is known to nobody. */
  serve(kinds: ReadonlyArray<{ readonly kind: string; readonly caps: KindCaps | null }>): void {
    if (kinds.some(({ caps, kind }) => caps === null && !this.kinds.includes(kind)))
      this.nextDueAtMs = Number.NEGATIVE_INFINITY
    const known = new Map(this.capped.map((capped) => [capped.kind, capped]))
    this.kinds = kinds.flatMap(({ caps, kind }) => (caps === null ? [kind] : []))
    this.capped = kinds.flatMap(({ caps, kind }) => {
      if (caps === null) return []
      const capped = known.get(kind) ?? { kind, caps, ...neverClaimed }
      capped.caps = caps
      return [capped]
    })
  }

  get startsPerSecond(): number {
    return this.#startsPerSecond
  }

  windowTasks(config: EngineConfig): number {
    const wanted = windowRoundTrips * this.#startsPerSecond * ((refillMs + this.#claimMs + this.#newsMs) / 1_000)
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

const neverClaimed = {
  claimedAtMs: Number.NEGATIVE_INFINITY,
  nextDueAtMs: Number.NEGATIVE_INFINITY,
  openAtMs: Number.NEGATIVE_INFINITY,
  emptyClaims: 0
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
/** A look-up and the pull before it, together: what a start costs in time while the broker is away. */
const lookUpMs = 250
/** Of one start in the average of some fifty. The time a dispatch waits for a slot is not in it: no wider window helps that. */
const newsWeight = 0.02
/** Starts come in batches; a rate over a shorter time would take one batch for a flood. */
const sampleMsMin = 50
/** How long a rate is remembered after the starts have become slower. */
const rateMemoryMs = 1_000
