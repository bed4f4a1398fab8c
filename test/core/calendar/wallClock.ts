import type { Calendar } from "../../../src/core/calendar/Calendar.ts"

/** What a wall clock and a wall calendar in the zone show. Asks Intl for every instant anew and shares no code with src. */
export const wallClock = (zone: string) => {
  const format = new Intl.DateTimeFormat("sv-SE", {
    timeZone: zone,
    dateStyle: "short",
    timeStyle: "short"
  })
  return (atMs: number): { readonly date: string; readonly time: string } => {
    const [date = "", time = ""] = format.format(atMs).split(" ")
    return { date, time }
  }
}

export const weekdayOf = (date: string): number => new Date(`${date}T12:00:00Z`).getUTCDay() || 7

/** Whether the calendar is open, by its words: text is compared with text. */
export const opensBy = (calendar: Calendar): ((atMs: number) => boolean) => {
  const clock = wallClock(calendar.zone)
  const { holidays = [], hours, quiet } = calendar
  const weekdays = calendar.weekdays ?? (quiet === undefined ? [1, 2, 3, 4, 5] : [1, 2, 3, 4, 5, 6, 7])
  const windows = hours === undefined ? [{ from: "00:00", until: "24:00" }] : [hours].flat()
  return (atMs) => {
    const { date, time } = clock(atMs)
    if (!weekdays.includes(weekdayOf(date)) || holidays.includes(date)) return false
    if (quiet === undefined) return windows.some(({ from, until }) => from <= time && time < until)
    return quiet.from < quiet.until
      ? !(quiet.from <= time && time < quiet.until)
      : !(quiet.from <= time || time < quiet.until)
  }
}
