/**
 * How far back a claim looks. Between sweeps no further than the mark: what was due earlier has been claimed, and its dead index
 * entries need not be walked again. A wake-up for something due earlier lowers the mark; what comes behind it unannounced
 * (a long transaction that commits, a lost hint) is found by the sweep. Each kind and priority has its own: a claim
 * knows nothing of the lanes it did not ask for, and must not hide their backlog.
 */
type Mark = { lowMs: number; sweptAtMs: number; sweepIntervalMs: number }

const slackMs = 2_000
const sweepIntervalMsMin = 5_000
/**
 * A sweep walks all dead rows that an old snapshot keeps, 1 ms per 1,100 (docs/adr/0001). It waits so many times what the last one
 * took: a twentieth of a connection at most, until the longest wait.
 */
const sweepPauses = 20
const sweepIntervalMsMax = 30_000
/** 1900: before every due time, and a finite bound keeps the plan the same. */
const beginningMs = -2_208_988_800_000

export class ClaimMarks {
  readonly #marks = new Map<string, Mark>()

  /** For a claim of these kinds at these priorities that begins now, by the database's clock. */
  look(kindIds: ReadonlyArray<number>, ranks: ReadonlyArray<number>, nowMs: number) {
    const marks = kindIds.flatMap((kindId) => ranks.map((rank) => this.#markOf(`${kindId} ${rank}`)))
    const lowMarksMs = marks.map((mark) => mark.lowMs)
    const sweeps = marks.some((mark) => nowMs - mark.sweptAtMs >= mark.sweepIntervalMs || nowMs < mark.sweptAtMs)
    return {
      fromMs: sweeps ? beginningMs : Math.min(...lowMarksMs),
      /**
       * The claim has ended: nothing due before `leftFromMs` is left in these lanes. Also of one that its limit has cut, for that is
       * every one while more is due within the look-ahead than the window has room for, and each would sweep.
       */
      ended: (leftFromMs: number, tookMs: number) => {
        for (const [index, mark] of marks.entries()) {
          if (sweeps) {
            mark.sweptAtMs = nowMs
            mark.sweepIntervalMs = Math.min(Math.max(sweepIntervalMsMin, tookMs * sweepPauses), sweepIntervalMsMax)
          }
          // A hint that came while the claim was under way has lowered the mark again and must not be forgotten.
          if (mark.lowMs === lowMarksMs[index]) mark.lowMs = Math.min(leftFromMs, nowMs) - slackMs
        }
      }
    }
  }

  /** Something due at this instant may be new, or pending again: look at least that far back. */
  lower(dueAtMs: number): void {
    for (const mark of this.#marks.values()) mark.lowMs = Math.min(mark.lowMs, dueAtMs)
  }

  #markOf(lane: string): Mark {
    let mark = this.#marks.get(lane)
    if (mark === undefined) {
      mark = { lowMs: beginningMs, sweptAtMs: -Infinity, sweepIntervalMs: sweepIntervalMsMin }
      this.#marks.set(lane, mark)
    }
    return mark
  }
}
