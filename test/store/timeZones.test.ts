import { assert, describe, it } from "@effect/vitest"
import { checkTimeZones, outdatedOf } from "../../src/store/timeZones.ts"

const mexicoKeepsSummerTime = (zone: string) =>
  ({ "Europe/Berlin": 120, "Australia/Lord_Howe": 630, "America/Mexico_City": -300 })[zone]

describe("time zone data", () => {
  it.effect("of the Node that runs the tests are new enough", () => checkTimeZones)

  it("that miss a rule in force are refused, with the zone and the release", () => {
    const outdated = outdatedOf(mexicoKeepsSummerTime, "2022a")
    assert.deepInclude(outdated, { _tag: "TimeZonesOutdated", zone: "America/Mexico_City", found: "2022a" })
  })

  it("that do not know a zone are refused", () => {
    assert.propertyVal(
      outdatedOf(() => undefined, "unknown"),
      "zone",
      "Europe/Berlin"
    )
  })
})
