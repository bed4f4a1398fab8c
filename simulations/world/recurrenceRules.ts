/**
 * The rules that simulated recurrences have, and when they fire by an oracle that shares no code with the product
 * (`simulations/recurrence/oracle.ts`). The history begins shortly before the clocks of Berlin go back, so that rules of fixed
 * times of day meet an hour that comes twice.
 */
import type { Rule } from "../../src/core/recurrence/Rule.ts"
import { ask, expectedFires, type Fold, type Gap } from "../recurrence/oracle.ts"
import type { Stretch } from "../recurrence/Offsets.ts"
import { clocksGoBackMs, epochMs } from "../../src/testing/simulation/Kernel.ts"

export type PlannedRule =
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

export const cronRules: ReadonlyArray<PlannedRule> = [
  ...foldedRules,
  cron("*/3 * * * * *"),
  cron("2-59/6 * * * * *"),
  cron("1,2,3,30 * * * * *")
]

const hourMs = 3_600_000
const always = { fromMs: Number.NEGATIVE_INFINITY, beforeMs: Number.POSITIVE_INFINITY }
/** As people know them, and not as any library does. */
const offsetsOf: { readonly [zone: string]: ReadonlyArray<Stretch> } = {
  UTC: [{ ...always, offsetMs: 0 }],
  "Europe/Berlin": [
    { ...always, beforeMs: clocksGoBackMs, offsetMs: 2 * hourMs },
    { ...always, fromMs: clocksGoBackMs, offsetMs: hourMs }
  ]
}

/** Of the database's clock in a history, jumps included, and then some. */
const spanFromMs = epochMs - 120_000
const spanBeforeMs = epochMs + 900_000

const found = new Map<string, ReadonlyArray<number>>()

/** All instants of a rule in the time that histories take, ascending. */
export const instantsOf = (rule: Rule): ReadonlyArray<number> => {
  const name = JSON.stringify(rule)
  const known = found.get(name)
  if (known !== undefined) return known
  const instants: Array<number> = []
  if (rule._tag === "Interval") {
    for (let atMs = spanFromMs; atMs < spanBeforeMs; atMs++) {
      if ((atMs - rule.anchorMs) % rule.everyMs !== 0) continue
      for (; atMs < spanBeforeMs; atMs += rule.everyMs) instants.push(atMs)
    }
  } else {
    const { expression, fold, gap, zone } = rule
    const offsets = offsetsOf[zone]
    if (offsets === undefined) throw new Error(`the oracle knows nothing of ${zone}`)
    instants.push(...expectedFires(ask(expression), offsets, gap, fold, spanFromMs, spanBeforeMs))
  }
  found.set(name, instants)
  return instants
}

/** As the auditor of the ledger asks for it. */
export const nextOf =
  (rule: Rule) =>
  (afterMs: number): number | null =>
    instantsOf(rule).find((atMs) => atMs > afterMs) ?? null

/** Whether what is stored is what was planned. */
export const isRule = (rule: Rule, planned: PlannedRule): boolean =>
  "cron" in planned
    ? rule._tag === "Cron" &&
      rule.expression === planned.cron &&
      rule.zone === planned.zone &&
      rule.fold === planned.fold
    : rule._tag === "Interval" && rule.everyMs === planned.everyMs && rule.anchorMs === planned.anchorMs
