import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import { layerMemory, Recurrences, type RecurrenceOptions, Task } from "../../src/index.ts"
import { TestDuetime } from "../../src/testing/index.ts"

const Report = Task.define("nightly-report", { payload: { customer: Schema.String } })
const reported = new Set<string>()
const sendReport = (customer: string) => Effect.sync(() => reported.add(customer))

const tasks = [
  Report.handle(({ customer }) => sendReport(customer)),
  Report.recur("report-acme", { cron: "0 3 * * *", zone: "Europe/Berlin", payload: { customer: "acme" } }),
  Report.recur("report-beta", { every: "6 hours", payload: { customer: "beta" } })
] as const

const guide = fs.readFileSync("docs/guide/recurrences.md", "utf8")
const on = (instant: string) => (test: Effect.Effect<void, unknown>) =>
  Effect.andThen(TestClock.setTime(Date.parse(instant)), test)

/** Due times of what runs after the outage of the page. */
const runsAfterOutage = Effect.fnUntraced(function* (
  policy: Partial<RecurrenceOptions<{ readonly customer: string }>>
) {
  const recurrences = yield* Recurrences
  const options = { cron: "0 3 * * *", zone: "Europe/Berlin", payload: { customer: "acme" }, ...policy }
  yield* recurrences.create(Report, "report-acme", options as RecurrenceOptions<{ readonly customer: string }>)
  const outage = { from: "2027-03-25T12:00:00Z", until: "2027-03-28T12:00:00Z" }
  const fates = yield* recurrences.previewOutage("report-acme", outage)
  return fates.flatMap(({ dueAt, nominalAt }) =>
    dueAt === null ? [] : [`${nominalAt.getUTCDate()} at ${dueAt.toISOString().slice(11, 19)}`]
  )
})

describe("docs/guide/recurrences.md", () => {
  it.effect("declares recurrences that run, and makes and pauses one", () =>
    Effect.gen(function* () {
      const [customer, zone] = ["ada", "Europe/Moscow"]
      const recurrences = yield* Recurrences
      yield* recurrences.create(Report, `report-${customer}`, { cron: "0 9 * * 1-5", zone, payload: { customer } })
      yield* recurrences.pause("report-acme")
      yield* TestDuetime.pass("10 minutes")
      assert.sameMembers([...reported], ["ada", "beta"])
    }).pipe(Effect.provide(TestDuetime.layer(Layer.mergeAll(...tasks))), on("2027-03-24T05:55:00Z"))
  )

  const afterOutage: ReadonlyArray<readonly [string, Parameters<typeof runsAfterOutage>[0], ReadonlyArray<string>]> = [
    ['`misfire: "last"` (default)', {}, ["28 at 12:00:00"]],
    ['`misfire: "skip"`', { misfire: "skip" }, []],
    ['`misfire: "all"`', { misfire: "all" }, ["26 at 12:00:00", "27 at 12:00:01", "28 at 12:00:02"]],
    [
      '`misfire: { run: "all", cap: 2, pace: "1 minute" }`',
      { misfire: { run: "all", cap: 2, pace: "1 minute" } },
      ["27 at 12:00:00", "28 at 12:01:00"]
    ],
    ['`misfire: "last", maxLateness: "6 hours"`', { misfire: "last", maxLateness: "6 hours" }, []]
  ]
  for (const [name, policy, runs] of afterOutage) {
    it.effect(`says what runs after an outage with ${name}`, () =>
      runsAfterOutage(policy).pipe(
        Effect.map((found) => {
          assert.include(guide, `| ${name} |`)
          assert.deepStrictEqual(found, runs)
        }),
        Effect.provide(layerMemory),
        on("2027-03-24T12:00:00Z")
      )
    )
  }

  const clocks = [
    ["2027-03-27T12:00:00Z", { gap: "shift" }, ["2027-03-28T01:30"]],
    ["2027-03-27T12:00:00Z", { gap: "end" }, ["2027-03-28T01:00"]],
    ["2027-03-27T12:00:00Z", { gap: "skip" }, ["2027-03-29T00:30"]],
    ["2027-10-30T12:00:00Z", { fold: "first" }, ["2027-10-31T00:30"]],
    ["2027-10-30T12:00:00Z", { fold: "second" }, ["2027-10-31T01:30"]],
    ["2027-10-30T12:00:00Z", { fold: "both" }, ["2027-10-31T00:30", "2027-10-31T01:30"]]
  ] as const
  for (const [now, policy, expected] of clocks) {
    const [[name, value] = ["", ""]] = Object.entries(policy)
    it.effect(`says when it fires as the clocks change, with ${name}: ${value}`, () =>
      Effect.gen(function* () {
        assert.match(guide, new RegExp(`\\| \`${name}: "${value}"\``))
        const recurrences = yield* Recurrences
        const rule = { cron: "30 2 * * *", zone: "Europe/Berlin", ...policy }
        const { instants } = yield* recurrences.previewOf(rule, expected.length)
        assert.deepStrictEqual(
          instants.map((at) => at.toISOString().slice(0, 16)),
          [...expected]
        )
      }).pipe(Effect.provide(layerMemory), on(now))
    )
  }
})
