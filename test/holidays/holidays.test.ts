import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import { createRequire } from "node:module"
import * as fs from "node:fs"
import { openTimes } from "../../src/core/calendar/Calendar.ts"
import { nextOpenMs } from "../../src/core/calendar/open.ts"
import { ConfigInvalid } from "../../src/DuetimeError.ts"
import { type HolidayOptions, holidays, libraryFrom } from "../../src/holidays/index.ts"

describe("the holidays of a country", () => {
  it("are the dates that its law names", () => {
    const berlin = holidays({ country: "DE", region: "BE", years: [2026] })
    assert.includeMembers([...berlin], ["2026-01-01", "2026-04-03", "2026-05-01", "2026-10-03", "2026-12-25"])
    assert.deepStrictEqual([...berlin], [...new Set(berlin)].toSorted())
    assert.notInclude(holidays({ country: "DE", years: [2026] }), "2026-03-08")
    assert.include(berlin, "2026-03-08")
  })

  it("are those of the types asked for", () => {
    const carnival = "2026-02-16"
    assert.include(holidays({ country: "BR", years: [2026] }), carnival)
    assert.notInclude(holidays({ country: "BR", years: [2026], types: ["public"] }), carnival)
  })

  it("leave a day open that is a holiday from 14:00 on, and know a part of a region", () => {
    assert.notInclude(holidays({ country: "DE", region: "BE", years: [2026] }), "2026-12-24")
    assert.include(holidays({ country: "DE", region: "BY.A", years: [2026] }), "2026-08-08")
    assert.notInclude(holidays({ country: "DE", region: "BY", years: [2026] }), "2026-08-08")
  })

  it("are the civil days of a feast that begins at sunset", () => {
    const turkey = holidays({ country: "TR", years: [2026] })
    assert.deepStrictEqual(
      turkey.filter((date) => date.startsWith("2026-03")),
      ["2026-03-20", "2026-03-21", "2026-03-22"]
    )
  })

  it("make a calendar, together with dates of one's own", () => {
    const dates = [...holidays({ country: "DE", years: [2026, 2027] }), "2026-12-28"]
    const open = Result.getOrThrow(openTimes({ zone: "Europe/Berlin", holidays: dates }))
    const nextMs = nextOpenMs(open, Date.parse("2026-12-25T12:00:00Z"))
    assert.strictEqual(new Date(nextMs ?? 0).toISOString(), "2026-12-28T23:00:00.000Z")
  })

  const wrong: ReadonlyArray<readonly [string, object]> = [
    ["country is 'Atlantis'", { country: "Atlantis" }],
    ["country is undefined", { country: undefined }],
    ["region is 'XX'. Give one of BB, BE", { region: "XX" }],
    ["region is 'BY.XX'. Give BY. and one of A,", { region: "BY.XX" }],
    ["region is 'BE.A'. BE has no parts", { region: "BE.A" }],
    ["years is []", { years: [] }],
    ["years is [ 1969 ]", { years: [1969] }],
    ["years is '2026'", { years: "2026" }],
    ["types is [ 'holy' ]", { types: ["holy"] }],
    ["state is 'BE'. There is no such option. The options are country, region", { state: "BE" }]
  ]
  for (const [says, given] of wrong) {
    it(`are refused when ${says}`, () => {
      const options = { country: "DE", years: [2026], ...given } as HolidayOptions
      assert.throws(() => holidays(options), `OptionsRejected: ${says}`)
    })
  }

  it("without the library say what to install, in the version that is tested here", () => {
    const { devDependencies, peerDependencies, peerDependenciesMeta } = JSON.parse(
      fs.readFileSync("package.json", "utf8")
    )
    const missing = () => libraryFrom(() => createRequire(import.meta.url)("date-holidays-that-is-not-there"))
    try {
      missing()
      assert.fail("it was there")
    } catch (error) {
      assert.instanceOf(error, ConfigInvalid)
      assert.include(error.message, `npm install --save-exact date-holidays@${devDependencies["date-holidays"]}`)
    }
    assert.strictEqual(peerDependencies["date-holidays"], "^3.37.0")
    assert.deepStrictEqual(peerDependenciesMeta["date-holidays"], { optional: true })
  })
})
