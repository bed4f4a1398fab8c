/**
 * The rules that simulated recurrences have, and when they fire by an oracle that shares no code with the product
 * (`simulations/recurrence/oracle.ts`). The history begins shortly before the clocks of Berlin go back, so that rules of fixed
 * times of day meet an hour that comes twice.
 */
import type { Open, Rule } from "../../src/core/recurrence/Rule.ts"
import { ask, expectedFires, type Fold, type Gap } from "../recurrence/oracle.ts"
import type { Stretch } from "../recurrence/Offsets.ts"
import { OpenMinutes } from "../recurrence/openInstants.ts"
import { clocksGoBackMs, epochMs } from "../../src/testing/simulation/Kernel.ts"

export type PlannedRule = PlainRule & { readonly open?: Open }

type PlainRule =
  | { readonly everyMs: number; readonly anchorMs: number }
  | { readonly cron: string; readonly zone: string; readonly gap: Gap; readonly fold: Fold }

const cron = (expression: string, zone = "UTC", fold: Fold = "first"): PlannedRule => ({
  cron: expression,
  zone,
  gap: "shift",
  fold
})

/** Of the hour that Berlin has twice. */
export const foldedRules: ReadonlyArray<PlannedRule> = [
  cron("0-40/4 0 2 * * *", "Europe/Berlin", "second"),
  cron("0-40/4 0 2 * * *", "Europe/Berlin", "both"),
  cron("50,55,58 59 2 * * *", "Europe/Berlin", "first"),
  cron("*/5 * * * * *", "Europe/Berlin")
]

/** Of every minute. */
export const minuteRules: ReadonlyArray<PlannedRule> = [
  cron("*/3 * * * * *"),
  cron("2-59/6 * * * * *"),
  cron("1,2,3,30 * * * * *")
]

export const cronRules: ReadonlyArray<PlannedRule> = [...foldedRules, ...minuteRules]

const everyDay = [1, 2, 3, 4, 5, 6, 7] as const

/**
 * Each opens again within a history, or what comes late would wait for longer than a history takes: six seconds after its beginning,
 * when it is two o'clock in Berlin again and the 31st begins on Cape Verde, or a minute after that.
 */
export const calendars: ReadonlyArray<Open["calendar"]> = [
  { zone: "Europe/Berlin", weekdays: everyDay, hours: { from: "02:00", until: "02:59" } },
  { zone: "Europe/Berlin", quiet: { from: "02:00", until: "02:01" } },
  { zone: "Atlantic/Cape_Verde", weekdays: everyDay, holidays: ["2027-10-30"] }
]

const hourMs = 3_600_000
const always = { fromMs: Number.NEGATIVE_INFINITY, beforeMs: Number.POSITIVE_INFINITY }
/** As people know them, and not as any library does. */
const offsetsOf: { readonly [zone: string]: ReadonlyArray<Stretch> } = {
  UTC: [{ ...always, offsetMs: 0 }],
  "Atlantic/Cape_Verde": [{ ...always, offsetMs: -hourMs }],
  "Europe/Berlin": [
    { ...always, beforeMs: clocksGoBackMs, offsetMs: 2 * hourMs },
    { ...always, fromMs: clocksGoBackMs, offsetMs: hourMs }
  ]
}

/** Of the database's clock in a history, jumps included, and then some. */
const spanFromMs = epochMs - 120_000
const spanBeforeMs = epochMs + 900_000

const dayMs = 24 * hourMs
/** From where instants may move into that time: the closed day before it, and the hours around it. */
const movedFromMs = clocksGoBackMs - 2 * dayMs
const movedBeforeMs = clocksGoBackMs + 2 * hourMs

const found = new Map<string, ReadonlyArray<number>>()

/** All instants of a rule in the time that histories take, ascending. */
export const instantsOf = (rule: Rule): ReadonlyArray<number> => {
  const name = JSON.stringify(rule)
  const known = found.get(name)
  if (known !== undefined) return known
  const instants = rule.open === undefined ? plain(rule, spanFromMs, spanBeforeMs) : movedOf(rule, rule.open)
  found.set(name, instants)
  return instants
}

/** Without its calendar. */
const plain = (rule: Rule, fromMs: number, beforeMs: number): ReadonlyArray<number> => {
  if (rule._tag === "Cron") {
    const { expression, fold, gap, zone } = rule
    return expectedFires(ask(expression), knownOffsets(zone), gap, fold, fromMs, beforeMs)
  }
  const instants: Array<number> = []
  let atMs = fromMs
  while ((atMs - rule.anchorMs) % rule.everyMs !== 0) atMs++
  for (; atMs < beforeMs; atMs += rule.everyMs) instants.push(atMs)
  return instants
}

const movedOf = (rule: Rule, open: Open): ReadonlyArray<number> => {
  const minutes = minutesOf(open)
  const name = JSON.stringify({ ...rule, open: undefined })
  const all = knownPlain.get(name) ?? plain(rule, movedFromMs, movedBeforeMs)
  knownPlain.set(name, all)
  const moved = all.flatMap((atMs) => minutes.moved(atMs, open.closed) ?? [])
  return [...new Set(moved)].filter((atMs) => atMs >= spanFromMs && atMs < spanBeforeMs).toSorted((a, b) => a - b)
}

/** Of two days, which the calendars of a rule share. */
const knownPlain = new Map<string, ReadonlyArray<number>>()
const knownMinutes = new Map<string, OpenMinutes>()

const minutesOf = ({ calendar }: Open): OpenMinutes => {
  const name = JSON.stringify(calendar)
  let minutes = knownMinutes.get(name)
  if (minutes === undefined) {
    minutes = new OpenMinutes(calendar, knownOffsets(calendar.zone), movedFromMs - 2 * dayMs, movedBeforeMs + 2 * dayMs)
    knownMinutes.set(name, minutes)
  }
  return minutes
}

const knownOffsets = (zone: string): ReadonlyArray<Stretch> => {
  const offsets = offsetsOf[zone]
  if (offsets === undefined) throw new Error(`the oracle knows nothing of ${zone}`)
  return offsets
}

/** Whether the rule's calendar is open then, which every instant and everything late has to be. */
export const isOpenAt = ({ open }: Rule, atMs: number): boolean => open === undefined || minutesOf(open).isOpen(atMs)

/** When what comes late may run. */
export const openedMs = ({ open }: Rule, atMs: number): number =>
  open === undefined ? atMs : minutesOf(open).opened(atMs)

/** As the auditor of the ledger asks for it. */
export const nextOf =
  (rule: Rule) =>
  (afterMs: number): number | null =>
    instantsOf(rule).find((atMs) => atMs > afterMs) ?? null

/** Whether what is stored is what was planned. */
export const isRule = (rule: Rule, planned: PlannedRule): boolean =>
  JSON.stringify(rule.open) === JSON.stringify(planned.open) && isPlainRule(rule, planned)

const isPlainRule = (rule: Rule, planned: PlannedRule): boolean =>
  "cron" in planned
    ? rule._tag === "Cron" &&
      rule.expression === planned.cron &&
      rule.zone === planned.zone &&
      rule.fold === planned.fold
    : rule._tag === "Interval" && rule.everyMs === planned.everyMs && rule.anchorMs === planned.anchorMs
