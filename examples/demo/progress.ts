import { Effect, Schedule } from "effect"
import { build, type Histogram } from "hdr-histogram-js"
import { TaskStore } from "../../src/store/TaskStore.ts"
import type { AttemptObserverShape } from "../../src/worker/AttemptObserver.ts"

export type Phase =
  | "starting PostgreSQL"
  | "starting Kafka"
  | "filling the shop"
  | "starting the services"
  | "scheduling"
  | "steady"
  | "draining"
  | "auditing"
  | "done"

/** Seconds of the rate that are kept, one column each. */
const ratesMax = 40

/** What the view shows while the run goes on. The summary at the end is made from the events instead. */
export class Progress {
  readonly title: string
  phase: Phase = "starting PostgreSQL"
  /** What has been done to the system, and how that goes. */
  readonly #notes = new Map<string, string>()
  readonly askedCount: number
  scheduledCount = 0
  endedCount = 0
  attemptsCount = 0
  retriesCount = 0
  deadLettersCount = 0
  dueCount = 0
  inProgressCount = 0
  /** Attempts of each second, the latest last. */
  readonly ratesPerSecond: Array<number> = []
  readonly driftUs: Histogram = build({ highestTrackableValue: 3_600_000_000, numberOfSignificantValueDigits: 3 })
  readonly driftMsCounts = new Map<number, number>(driftMsBounds.map((bound) => [bound, 0]))
  #attemptsAtLastSecond = 0

  constructor(askedCount: number, title = "duetime demo") {
    this.title = title
    this.askedCount = askedCount
  }

  /** Sees each attempt of this process, from inside the worker. */
  readonly observer: AttemptObserverShape = {
    started: ({ dueAtMs, startedAtMs }) => {
      this.attemptsCount++
      this.drifted(startedAtMs - dueAtMs)
    },
    ended: (_started, stage) => {
      if (stage === "pending") this.retriesCount++
      else if (stage === "dead") this.deadLettersCount++
      if (stage === "dead" || stage === "succeeded" || stage === "cancelled" || stage === "expired") this.endedCount++
    }
  }

  drifted(ms: number): void {
    const driftMs = Math.max(0, ms)
    const bound = driftMsBounds.find((bound) => driftMs <= bound) ?? Number.POSITIVE_INFINITY
    this.driftUs.recordValue(Math.round(driftMs * 1_000))
    this.driftMsCounts.set(bound, (this.driftMsCounts.get(bound) ?? 0) + 1)
  }

  note(what: string, happened: string): void {
    this.#notes.set(what, happened)
  }

  get notes(): ReadonlyArray<string> {
    return Array.from(this.#notes, ([what, happened]) => `${what} ${happened}`)
  }

  /** Once a second. */
  secondPassed(): void {
    this.ratesPerSecond.push(this.attemptsCount - this.#attemptsAtLastSecond)
    if (this.ratesPerSecond.length > ratesMax) this.ratesPerSecond.shift()
    this.#attemptsAtLastSecond = this.attemptsCount
  }

  driftMsAt(percentile: number): number {
    return this.driftUs.getValueAtPercentile(percentile) / 1_000
  }
}

/** Reads the backlog and closes the rate of each second, until the scope closes. */
export const watchBacklog = Effect.fnUntraced(function* (progress: Progress) {
  const store = yield* TaskStore
  const look = Effect.gen(function* () {
    progress.secondPassed()
    const rows = yield* store.backlog
    progress.dueCount = rows.reduce((total, { dueCount }) => total + dueCount, 0)
    progress.inProgressCount = rows.reduce((total, { inProgressCount }) => total + inProgressCount, 0)
  })
  yield* Effect.forkScoped(Effect.repeat(Effect.ignore(look), Schedule.spaced(1_000)))
})

/** Upper bounds of the bars, in ms. */
export const driftMsBounds: ReadonlyArray<number> = [
  1,
  2,
  5,
  10,
  20,
  50,
  100,
  200,
  500,
  1_000,
  2_000,
  5_000,
  Number.POSITIVE_INFINITY
]
