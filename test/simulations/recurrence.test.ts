import { assert, describe, it } from "@effect/vitest"
import { compareZone } from "../../simulations/recurrence/compareZone.ts"
import { firstDifferenceMs, offsetsOf } from "../../simulations/recurrence/Offsets.ts"
import { ask, expectedFires } from "../../simulations/recurrence/oracle.ts"
import { reportOf } from "../../simulations/recurrence/report.ts"
import { offsetsOfFile, zoneFolder } from "../../simulations/recurrence/zoneFile.ts"
import { allZones, namedZones, sampleOf } from "../../simulations/recurrence/zones.ts"

const folder = zoneFolder() ?? ""
const hourMs = 3_600_000

describe("cron rules against the oracle, 2000 to 2050, under each policy", () => {
  for (const zone of namedZones)
    it(`fire in ${zone} as the oracle says, none missing and none extra`, () => {
      const { compared, extra, missing, problems } = compareZone(zone, folder)
      assert.deepStrictEqual({ extra, missing, problems }, { extra: 0, missing: 0, problems: [] })
      assert.isAbove(compared, 200_000)
    })
  it("fire so with each pair of policies over all years, if asked for all of them", () => {
    const [three, nine] = (["each", "all"] as const).map((pairs) => compareZone("Asia/Tokyo", folder, pairs))
    assert.deepInclude(nine, { extra: 0, missing: 0 })
    // Without a change of the clocks there are only the expressions that are compared over all years.
    assert.strictEqual(three?.changes, 0)
    assert.strictEqual(nine?.compared, 3 * (three?.compared ?? 0))
  })
  it("fire in another zone that a seed draws as the oracle says", () => {
    const report = reportOf(sampleOf(allZones(), 1, 6).map((zone) => compareZone(zone, folder)))
    assert.deepStrictEqual(
      report.checks.filter(({ ok }) => !ok),
      []
    )
  })
})

describe("the oracle", () => {
  const berlin = offsetsOfFile(folder, "Europe/Berlin") ?? []
  const of = (gap: "skip" | "shift" | "end", fold: "first" | "second" | "both", day: string) =>
    expectedFires(ask("30 2 * * *"), berlin, gap, fold, Date.parse(day), Date.parse(day) + 24 * hourMs).map((at) =>
      new Date(at).toISOString().slice(11, 16)
    )
  it("knows what Berlin does at its changes, also after the years that its file lists", () => {
    assert.deepStrictEqual(of("skip", "first", "2049-03-28"), [])
    assert.deepStrictEqual(of("shift", "first", "2049-03-28"), ["01:30"])
    assert.deepStrictEqual(of("end", "first", "2049-03-28"), ["01:00"])
    assert.deepStrictEqual(of("skip", "first", "2049-10-31"), ["00:30"])
    assert.deepStrictEqual(of("skip", "second", "2049-10-31"), ["01:30"])
    assert.deepStrictEqual(of("skip", "both", "2049-10-31"), ["00:30", "01:30"])
  })
  it("is told apart from a rule of another zone", () => {
    const athens = offsetsOfFile(folder, "Europe/Athens") ?? []
    assert.strictEqual(firstDifferenceMs(berlin, athens), Date.UTC(2000, 0))
    assert.isNull(firstDifferenceMs(berlin, offsetsOfFile(folder, "Europe/Berlin") ?? []))
  })
  it("names the first instant from which two sources differ", () => {
    const atMs = Date.UTC(2030, 5)
    assert.strictEqual(firstDifferenceMs(offsetsOf(0, []), offsetsOf(0, [{ atMs, offsetMs: hourMs }])), atMs)
  })
})
