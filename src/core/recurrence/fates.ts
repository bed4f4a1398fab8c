import type { Policies } from "./Policies.ts"

/**
 * What became of a nominal instant. The codes are stored and never reused.
 *
 * `fired`: its task was scheduled. The others have none: missed and not made up for, too late to be worth it, the task
 * of an earlier instant had not ended, the recurrence was paused, an edit or a deletion took it back before it started.
 */
export const fateCodes = {
  fired: 1,
  "skipped-misfire": 2,
  "skipped-too-late": 3,
  "skipped-overlap": 4,
  "skipped-paused": 5,
  "cancelled-by-edit": 6,
  "cancelled-by-delete": 7
} as const

export type Fate = keyof typeof fateCodes

const fates = new Map<number, Fate>([
  [1, "fired"],
  [2, "skipped-misfire"],
  [3, "skipped-too-late"],
  [4, "skipped-overlap"],
  [5, "skipped-paused"],
  [6, "cancelled-by-edit"],
  [7, "cancelled-by-delete"]
])

export const fateOf = (code: number): Fate => {
  const fate = fates.get(code)
  if (fate === undefined) throw new Error(`no fate has the code ${code}`)
  return fate
}

/**
 * One line of the ledger: the fate of every instant of the rule from `nominalAtMs` to `untilMs`, both included. What
 * fired has a line of its own; what was skipped in a row shares one, so that a year's outage is one line too.
 */
export type Decided = {
  readonly nominalAtMs: number
  readonly untilMs: number
  readonly fate: Fate
  /** When the task is due; null if there is none. */
  readonly dueAtMs: number | null
}

export type Decision = {
  readonly decided: ReadonlyArray<Decided>
  /** The watermark: every instant up to it has a fate. */
  readonly settledUntilMs: number
  /** The first instant without one; null where the rule ends. */
  readonly nextAtMs: number | null
  /** The task of an earlier instant is to be asked to end. */
  readonly cancelsPrevious: boolean
}

export type Undecided = {
  readonly next: (afterMs: number) => number | null
  /** What runs late runs where the rule's calendar is open. */
  readonly openedMs?: ((atMs: number) => number) | undefined
  readonly policies: Policies
  readonly settledUntilMs: number
  readonly nowMs: number
  /** Decide up to here; later than now only if the decision needs nothing that is not known yet. */
  readonly untilMs: number
  /** The task of the last instant that fired has not ended. Asked only where the overlap policy cares. */
  readonly isBusy: boolean
}

/** Instants that one decision gives a line of their own, besides the misfires that run; the next decision goes on. */
export const instantsMax = 1_000

/**
 * Gives every instant from the watermark to `untilMs` its fate. Pure, so that the preview of an outage is what will
 * happen after it. It takes a time that grows with what runs, not with how long nobody looked.
 */
export const decideFates = ({
  isBusy,
  next,
  nowMs,
  openedMs,
  policies,
  settledUntilMs,
  untilMs
}: Undecided): Decision => {
  const { maxLatenessMs, misfireCap, misfirePaceMs, overlap } = policies
  const decided: Array<Decided> = []
  let settledMs = settledUntilMs
  let busy = isBusy

  const skip = (nominalAtMs: number, lastMs: number, fate: Fate) => {
    decided.push({ nominalAtMs, untilMs: lastMs, fate, dueAtMs: null })
    settledMs = lastMs
  }
  const run = (nominalAtMs: number, dueAtMs: number): boolean => {
    settledMs = nominalAtMs
    if (maxLatenessMs !== null && Math.max(dueAtMs, nowMs) - nominalAtMs > maxLatenessMs) {
      skip(nominalAtMs, nominalAtMs, "skipped-too-late")
      return false
    }
    if (overlap === "skip" && busy) {
      skip(nominalAtMs, nominalAtMs, "skipped-overlap")
      return false
    }
    decided.push({ nominalAtMs, untilMs: nominalAtMs, fate: "fired", dueAtMs })
    busy = true
    return true
  }

  const skipMissed = (fromMs: number, lastMs: number) => {
    const tooLateMs = maxLatenessMs === null ? Number.NEGATIVE_INFINITY : nowMs - maxLatenessMs - 1
    const worthMs = fromMs <= tooLateMs ? next(tooLateMs) : fromMs
    if (fromMs <= tooLateMs) skip(fromMs, Math.min(tooLateMs, lastMs), "skipped-too-late")
    if (worthMs !== null && worthMs <= lastMs) skip(worthMs, lastMs, "skipped-misfire")
  }

  const opened = openedMs ?? ((atMs: number) => atMs)
  const missedUntilMs = Math.min(nowMs - policies.misfireGraceMs - 1, untilMs)
  const firstMs = next(settledMs)
  if (firstMs !== null && firstMs <= missedUntilMs) {
    const runsMax = { skip: 0, last: 1, all: misfireCap }[policies.misfire]
    const last = lastInstants(next, settledMs, missedUntilMs, runsMax)
    const skippedUntilMs = last[0] === undefined ? missedUntilMs : last[0] - 1
    if (firstMs <= skippedUntilMs) skipMissed(firstMs, skippedUntilMs)
    let paced = 0
    for (const instantMs of last) if (run(instantMs, opened(opened(nowMs) + paced * misfirePaceMs))) paced++
  }
  let nextAtMs = next(settledMs)
  for (let count = 0; nextAtMs !== null && nextAtMs <= untilMs && count < instantsMax; count++) {
    run(nextAtMs, nextAtMs)
    nextAtMs = next(settledMs)
  }
  return {
    decided: overlap === "cancel" ? onlyLastRuns(decided) : decided,
    settledUntilMs: settledMs,
    nextAtMs,
    cancelsPrevious: overlap === "cancel" && isBusy && decided.some(({ fate }) => fate === "fired")
  }
}

/** Under `cancel` each would end the one before it: of those decided together only the last is worth starting. */
const onlyLastRuns = (decided: ReadonlyArray<Decided>): ReadonlyArray<Decided> => {
  const last = decided.findLast(({ fate }) => fate === "fired")
  return decided.map((one) =>
    one.fate === "fired" && one !== last ? { ...one, fate: "skipped-overlap" as const, dueAtMs: null } : one
  )
}

/** The latest `count` instants in `(afterMs, untilMs]`, ascending, found by bisection: a rule only goes forward. */
export const lastInstants = (
  next: (afterMs: number) => number | null,
  afterMs: number,
  untilMs: number,
  count: number
): ReadonlyArray<number> => {
  if (count === 0) return []
  const enough = 2 * count
  let [lowMs, highMs] = [afterMs, untilMs]
  let found = firstInstants(next, lowMs, untilMs, enough + 1)
  // From `lowMs` on there are `count` at least, from `highMs` on there are fewer.
  while (found.length > enough && highMs - lowMs > 1) {
    const middleMs = lowMs + Math.floor((highMs - lowMs) / 2)
    const some = firstInstants(next, middleMs, untilMs, enough + 1)
    if (some.length < count) highMs = middleMs
    else [lowMs, found] = [middleMs, some]
  }
  return found.slice(-count)
}

/** The first instants in `(afterMs, untilMs]`, `most` of them at most. */
export const firstInstants = (
  next: (afterMs: number) => number | null,
  afterMs: number,
  untilMs: number,
  most: number
): ReadonlyArray<number> => {
  const instants: Array<number> = []
  let atMs = next(afterMs)
  while (atMs !== null && atMs <= untilMs && instants.length < most) {
    instants.push(atMs)
    atMs = next(atMs)
  }
  return instants
}
