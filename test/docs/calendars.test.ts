import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { holidays } from "../../src/holidays/index.ts"
import { type Calendar, Duetime, layerMemory, Recurrences, RetryPolicy, Task } from "../../src/index.ts"
import { RetryIn } from "../../src/worker/Handlers.ts"

/** The code of docs/guide/calendars.md, in its order. */
const SendReminder = Task.define("send-reminder", { payload: { email: Schema.String, text: Schema.String } })
const Collect = Task.define("collect", { payload: { invoice: Schema.String } })
const [Payout, Poll] = [Task.define("payout", { payload: {} }), Task.define("poll", { payload: {} })]
const [email, text, invoice, error] = ["ada@example.com", "hello", "INV-1", new Error("declined")]
const customer = { zone: "Asia/Tokyo" }

const banking: Calendar = { zone: "Europe/Berlin", holidays: ["2026-12-25", "2027-01-01"] }
const office: Calendar = { ...banking, hours: { from: "09:00", until: "17:00" } }
const evenings: Calendar = { zone: "America/New_York", quiet: { from: "22:00", until: "08:00" } }

const closed = holidays({ country: "DE", region: "BE", years: [2026, 2027] })
const berlin: Calendar = { zone: "Europe/Berlin", holidays: [...closed, "2026-12-24"] }

const scheduled = Effect.gen(function* () {
  const reminder =
    //
    yield* SendReminder.schedule({ email, text }, { in: "3 hours", calendar: evenings })
  const collected =
    //
    yield* Collect.schedule({ invoice }, { in: { businessDays: 1, at: "10:00" }, calendar: banking })
  return [reminder.id, collected.id]
})

const Sync = Task.define("sync", { payload: {}, retry: RetryPolicy.fixed({ delay: "30 minutes", calendar: office }) })

const retries = [
  Task.retryIn({ businessDays: 1, at: "10:00" }, error, { calendar: { ...banking, zone: customer.zone } }),
  Task.retryIn("2 hours", error, { calendar: evenings }),
  Task.retryAt("2027-01-31T09:00:00Z", error)
]

const recurrences = [
  Payout.recur("payout", { cron: "0 10 1 * *", zone: "Europe/Berlin", calendar: banking, closed: "next", payload: {} }),
  Poll.recur("poll", { every: "10 minutes", calendar: office, payload: {} })
] as const

describe("docs/guide/calendars.md", () => {
  // A Friday, 21:00 in New York and 02:00 of the Saturday in Berlin.
  const nowMs = Date.parse("2027-01-16T02:00:00Z")
  it.effect("says what becomes of its tasks and recurrences", () =>
    Effect.gen(function* () {
      const dues: Array<string> = []
      for (const id of yield* scheduled)
        dues.push((yield* Duetime.use((duetime) => duetime.get(id))).dueAt.toISOString())
      assert.deepStrictEqual(dues, ["2027-01-16T13:00:00.000Z", "2027-01-18T09:00:00.000Z"])
      const rules = yield* Recurrences.use((service) => service.list())
      assert.deepStrictEqual(
        rules.map(({ name, nextAt }) => [name, nextAt?.toISOString()]),
        [
          ["payout", "2027-02-01T09:00:00.000Z"],
          ["poll", "2027-01-18T08:00:00.000Z"]
        ]
      )
    }).pipe(Effect.provide(Layer.mergeAll(...recurrences).pipe(Layer.provideMerge(layerMemory))), (test) =>
      Effect.andThen(TestClock.setTime(nowMs), test)
    )
  )

  it("defines policies, retries and calendars that are in order", () => {
    assert.deepStrictEqual(Sync.policy.retry.calendar, office)
    assert.isTrue(retries.every((retry) => retry instanceof RetryIn))
    assert.includeMembers([...(berlin.holidays ?? [])], ["2026-12-24", "2026-12-25", "2027-03-08"])
  })
})
