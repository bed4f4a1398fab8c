import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { type Recurs, ruleOf } from "../../src/RecurrenceOptions.ts"
import { ruleWords } from "../../src/ruleWords.ts"

const wordsOf = (recurs: Recurs) => ruleWords(Result.getOrThrow(ruleOf(recurs)))
const banking = { zone: "Europe/Berlin", holidays: ["2026-12-25", "2027-01-01"] }

describe("a rule in words", () => {
  const cases: ReadonlyArray<readonly [string, Recurs]> = [
    ["At 10:00, Monday through Friday, Europe/Berlin", { cron: "0 10 * * 1-5", zone: "Europe/Berlin" }],
    ["At 00:00, UTC", { cron: "@daily" }],
    ["At 09:00, on day 1 of the month, and on Monday, UTC", { cron: "0 9 1 * mon" }],
    ["At 09:00, every 2 days in a month, only on Monday, UTC", { cron: "0 9 */2 * 1" }],
    ["Every 20 seconds, UTC", { cron: "*/20 * * * * *" }],
    ["Every hour", { every: "1 hour" }],
    ["Every 1 hour and 30 minutes", { every: "90 minutes" }],
    ["Every 2 days, counted from 2026-01-01T09:00:00.000Z", { every: "2 days", anchor: "2026-01-01T09:00:00Z" }],
    [
      "At 10:00, on day 1 of the month, Europe/Berlin; if closed, on the next open day (Monday to Friday, without 2 holidays)",
      { cron: "0 10 1 * *", zone: "Europe/Berlin", calendar: banking, closed: "next" }
    ],
    [
      "Every 10 minutes; only when open (Monday, Wednesday and Friday, 09:00 to 12:00 and 13:00 to 17:00, Europe/Berlin)",
      {
        every: "10 minutes",
        calendar: {
          zone: "Europe/Berlin",
          weekdays: [5, 1, 3],
          hours: [
            { from: "09:00", until: "12:00" },
            { from: "13:00", until: "17:00" }
          ]
        }
      }
    ],
    [
      "At 23:00, UTC; if closed, on the previous open day (every day, quiet from 22:00 to 08:00, without 1 holiday, Asia/Tokyo)",
      {
        cron: "0 23 * * *",
        calendar: { zone: "Asia/Tokyo", quiet: { from: "22:00", until: "08:00" }, holidays: ["2026-01-01"] },
        closed: "previous"
      }
    ]
  ]
  for (const [words, recurs] of cases) it(words, () => assert.strictEqual(wordsOf(recurs), words))
})
