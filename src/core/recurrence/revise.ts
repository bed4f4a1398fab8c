import type { Policies } from "./Policies.ts"
import { type Decided, decideFates, type Fate, firstInstants, instantsMax } from "./fates.ts"

/** A recurrence's rule as it stood or is to stand. */
export type Standing = {
  readonly next: (afterMs: number) => number | null
  readonly openedMs?: ((atMs: number) => number) | undefined
  readonly policies: Policies
  readonly isPaused: boolean
}

export type Revision = {
  readonly before: Standing
  /** Null: it is deleted. */
  readonly after: Standing | null
  readonly settledUntilMs: number
  /** Instants up to here are the old revision's, those after it the new one's. */
  readonly atMs: number
  readonly isBusy: boolean
  /**
   * The ledger's lines that reach behind `atMs`; free if no task of theirs has started or can start any more. One of several instants was
   * skipped by a clock that has been set back since: it stands.
   */
  readonly ahead: ReadonlyArray<{
    readonly nominalAtMs: number
    readonly untilMs: number
    readonly fate: Fate
    readonly isFree: boolean
  }>
}

export type Revised = {
  /** Lines of the old revision: what nobody had decided when it ended. */
  readonly past: ReadonlyArray<Decided>
  readonly cancelsPrevious: boolean
  /** Lines of the new revision. One that is there already is taken over. */
  readonly taken: ReadonlyArray<Decided>
  /** Lines that stay the old revision's, with another fate. */
  readonly dropped: ReadonlyArray<{ readonly nominalAtMs: number; readonly fate: Fate }>
  readonly settledUntilMs: number
  readonly nextAtMs: number | null
}

/**
 * From one revision to the next at an instant: an edit, a pause, a resumption or a deletion. Each instant belongs to
 * the revision that stands at it, so that none is lost or fires twice however near the edit is. The watermark does not go
 * back: what was decided ahead is decided again here, for the new revision.
 */
export const revise = ({ after, ahead, atMs, before, isBusy, settledUntilMs }: Revision): Revised => {
  const past: Array<Decided> = []
  let cancelsPrevious = false
  let settledMs = settledUntilMs
  if (before.isPaused) {
    const fromMs = before.next(settledMs)
    if (fromMs !== null && fromMs <= atMs)
      past.push({ nominalAtMs: fromMs, untilMs: atMs, fate: "skipped-paused", dueAtMs: null })
  } else {
    for (let nextAtMs = before.next(settledMs); nextAtMs !== null && nextAtMs <= atMs;) {
      const { next, openedMs, policies } = before
      const busy = isBusy || past.some(({ fate }) => fate === "fired")
      const decision = decideFates({
        next,
        openedMs,
        policies,
        settledUntilMs: settledMs,
        nowMs: atMs,
        untilMs: atMs,
        isBusy: busy
      })
      past.push(...decision.decided)
      cancelsPrevious ||= decision.cancelsPrevious
      ;({ nextAtMs, settledUntilMs: settledMs } = decision)
    }
  }
  settledMs = Math.max(settledMs, atMs)

  const held = ahead.filter(({ isFree, nominalAtMs, untilMs }) => !isFree || untilMs > nominalAtMs)
  const isHeld = (instantMs: number) =>
    held.some(({ nominalAtMs, untilMs }) => nominalAtMs <= instantMs && instantMs <= untilMs)
  const instants = after === null ? [] : firstInstants(after.next, atMs, settledMs, instantsMax)
  const taken = instants
    .filter((nominalAtMs) => !isHeld(nominalAtMs))
    .map((nominalAtMs): Decided =>
      after?.isPaused === true
        ? { nominalAtMs, untilMs: nominalAtMs, fate: "skipped-paused", dueAtMs: null }
        : { nominalAtMs, untilMs: nominalAtMs, fate: "fired", dueAtMs: nominalAtMs }
    )
  const kept = new Set(instants)
  return {
    past,
    cancelsPrevious,
    taken,
    dropped: ahead
      .filter(({ fate, isFree, nominalAtMs }) => isFree && fate === "fired" && !kept.has(nominalAtMs))
      .map(({ nominalAtMs }) => ({
        nominalAtMs,
        fate: after === null ? ("cancelled-by-delete" as const) : ("cancelled-by-edit" as const)
      })),
    settledUntilMs: settledMs,
    nextAtMs: after === null || after.isPaused ? null : after.next(settledMs)
  }
}
