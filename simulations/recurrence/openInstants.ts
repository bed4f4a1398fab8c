/**
 * Where a calendar leaves the instants of a rule, worked out from the other side than src/core/calendar does it: every minute of a
 * stretch of time is asked by its date and time of day whether it is open, and every instant is moved by looking along those minutes.
 * It shares no code and no library with the product. All times of calendars and all changes of clocks are whole minutes.
 */
import type { Calendar } from "../../src/core/calendar/Calendar.ts"
import type { Open } from "../../src/core/recurrence/Rule.ts"
import type { Offsets } from "./Offsets.ts"

const minuteMs = 60_000
const secondMs = 1_000
const dayMs = 86_400_000

export class OpenMinutes {
  readonly #fromMs: number
  readonly #isOpen: ReadonlyArray<boolean>
  /** Whether the date is, at whatever time of day. */
  readonly #isOpenDate: ReadonlyArray<boolean>
  /** Of each minute the first open one from it on, and the last one up to it; -1: none is known. */
  readonly #next: Array<number> = []
  readonly #previous: Array<number> = []

  /** @param fromMs a whole minute; what lies outside of the minutes is not known */
  constructor(calendar: Calendar, offsets: Offsets, fromMs: number, beforeMs: number) {
    this.#fromMs = fromMs
    const shown = Array.from({ length: (beforeMs - fromMs) / minuteMs }, (_, index) => {
      const atMs = fromMs + index * minuteMs
      const stretch = offsets.find((one) => one.fromMs <= atMs && atMs < one.beforeMs)
      const text = new Date(atMs + (stretch?.offsetMs ?? unknown(atMs))).toISOString()
      return { date: text.slice(0, 10), time: text.slice(11, 16) }
    })
    this.#isOpenDate = shown.map(({ date }) => isOpenDate(calendar, date))
    this.#isOpen = shown.map(({ time }, index) => this.#isOpenDate[index] === true && isOpenTime(calendar, time))
    let [next, previous] = [-1, -1]
    for (const [index, isOpen] of this.#isOpen.entries()) this.#previous.push((previous = isOpen ? index : previous))
    for (const [index, isOpen] of [...this.#isOpen.entries()].toReversed())
      this.#next[index] = next = isOpen ? index : next
  }

  isOpen(atMs: number): boolean {
    return this.#isOpen[this.#minuteOf(atMs)] ?? unknown(atMs)
  }

  /** Itself, or the beginning of the first open minute behind it. */
  opened(atMs: number): number {
    if (this.isOpen(atMs)) return atMs
    const minute = this.#next[this.#minuteOf(atMs)] ?? -1
    return minute < 0 ? unknown(atMs) : this.#fromMs + minute * minuteMs
  }

  /** Where an instant goes, in a zone whose clocks do not change if days are closed; null: it is left out. */
  moved(atMs: number, closed: Open["closed"]): number | null {
    if (this.isOpen(atMs)) return atMs
    if (closed === "skip") return null
    const step = closed === "next" ? dayMs : -dayMs
    let movedMs = atMs
    while (!(this.#isOpenDate[this.#minuteOf(movedMs)] ?? unknown(movedMs))) movedMs += step
    if (this.isOpen(movedMs)) return movedMs
    if (closed === "next") return this.opened(movedMs)
    const minute = this.#previous[this.#minuteOf(movedMs)] ?? -1
    return minute < 0 ? unknown(movedMs) : this.#fromMs + (minute + 1) * minuteMs - secondMs
  }

  #minuteOf(atMs: number): number {
    return Math.floor((atMs - this.#fromMs) / minuteMs)
  }
}

const isOpenDate = ({ holidays = [], quiet, weekdays }: Calendar, date: string): boolean => {
  const open = weekdays ?? (quiet === undefined ? [1, 2, 3, 4, 5] : [1, 2, 3, 4, 5, 6, 7])
  return open.includes(new Date(`${date}T12:00:00Z`).getUTCDay() || 7) && !holidays.includes(date)
}

const isOpenTime = ({ hours, quiet }: Calendar, time: string): boolean => {
  if (quiet !== undefined)
    return quiet.from < quiet.until
      ? time < quiet.from || quiet.until <= time
      : quiet.until <= time && time < quiet.from
  return hours === undefined || [hours].flat().some(({ from, until }) => from <= time && time < until)
}

const unknown = (atMs: number): never => {
  throw new Error(`the oracle does not know whether ${new Date(atMs).toISOString()} is open`)
}
