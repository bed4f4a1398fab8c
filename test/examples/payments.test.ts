import { assert, describe, it, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { startChild } from "../../examples/demo/child.ts"
import { readLedger } from "../../examples/demo/ledger.ts"
import type { ChargeEntry } from "../../examples/demo/paymentsApi.ts"
import { CollectPayment, lookUpCharge, paymentService } from "../../examples/payments.ts"
import type { Duetime } from "../../src/index.ts"
import { TestDuetime } from "../../src/testing/index.ts"

class Provider extends Context.Service<Provider, { readonly url: string; readonly ledger: string }>()(
  "test/examples/Provider"
) {
  static readonly layer = Layer.effect(
    Provider,
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "duetime-payments-"))),
        (directory) => Effect.sync(() => fs.rmSync(directory, { recursive: true }))
      )
      const ledger = path.join(directory, "charges.jsonl")
      fs.writeFileSync(ledger, `${JSON.stringify(charge)}\n`)
      const port = yield* startChild("paymentsApi.ts", [ledger, "7"])
      return { ledger, url: `http://127.0.0.1:${port}` }
    })
  )
}

const charge: ChargeEntry = {
  key: "task 1",
  chargeId: "ch_000001",
  invoice: "INV-1",
  customer: "customer-1",
  amountCents: 500,
  repeated: false
}

layer(Provider.layer, { excludeTestServices: true })(
  "the payments provider, asked what became of an attempt,",
  (it) => {
    it.effect("knows by its key what it has charged, and what it has not, and charges nothing for the question", () =>
      Effect.gen(function* () {
        const { ledger, url } = yield* Provider
        const answers = yield* Effect.promise(() =>
          Promise.all(["task 1", "task 2"].map((key) => lookUpCharge(url, key)))
        )
        assert.deepStrictEqual(answers, [{ _tag: "Done", result: { chargeId: "ch_000001" } }, { _tag: "NotDone" }])
        assert.deepStrictEqual(readLedger<ChargeEntry>(ledger), [charge])
      })
    )

    it.effect("is not taken to have done nothing when it cannot be asked", () =>
      Effect.gen(function* () {
        const unreachable = yield* Effect.exit(Effect.tryPromise(() => lookUpCharge("http://127.0.0.1:1", "task 1")))
        assert.strictEqual(unreachable._tag, "Failure")
      })
    )
  }
)

describe("a charge that is declined", () => {
  const invoice = { invoice: "INV-7", customer: "customer-7", amountCents: 700 }
  /** Declines the first call for each key, and charges at the second. */
  const strict = () => {
    const keys = new Set<string | null>()
    return async (_: unknown, init?: RequestInit) => {
      const key = new Headers(init?.headers).get("idempotency-key")
      if (keys.has(key)) return Response.json({ chargeId: "ch_7" })
      keys.add(key)
      return Response.json({ error: "insufficient funds" }, { status: 402 })
    }
  }
  const withService = <E>(at: string, test: Effect.Effect<void, E, TestDuetime | Duetime>) =>
    test.pipe(
      Effect.provide(TestDuetime.layer(paymentService("http://provider.test", strict()))),
      // Before there is anything that would live through the years.
      (provided) => Effect.andThen(TestClock.setTime(Date.parse(at)), provided)
    )
  const declinedOf = (id: string) =>
    Effect.map(TestDuetime.history(id), (events) => events.find((event) => event._tag === "AttemptFailed"))

  it.effect(
    "on Friday evening is tried again on Monday at 10:00, and then succeeds",
    () =>
      withService(
        "2027-01-15T19:30:00Z",
        Effect.gen(function* () {
          const { id } = yield* CollectPayment.schedule(invoice)
          assert.strictEqual(yield* TestDuetime.untilEnded(id), "succeeded")
          assert.match((yield* declinedOf(id))?.error.message ?? "", /answered 402/)
          const started = (yield* TestDuetime.history(id)).filter((event) => event._tag === "AttemptStarted")
          assert.strictEqual(new Date(started[1]?.atMs ?? 0).toISOString(), "2027-01-18T09:00:00.000Z")
          assert.lengthOf(started, 2)
        })
      ),
    // 62 idle hours of engine and worker: half a minute on a busy machine.
    120_000
  )

  const cases: ReadonlyArray<readonly [string, string, string | undefined, string]> = [
    ["at 10:00 of a customer in New York", "2027-01-15T19:30:00Z", "America/New_York", "2027-01-18T15:00:00.000Z"],
    ["on the Tuesday after Easter", "2027-03-25T19:30:00Z", undefined, "2027-03-30T08:00:00.000Z"],
    ["after the bank's own closed day", "2026-12-23T19:30:00Z", undefined, "2026-12-28T09:00:00.000Z"]
  ]
  for (const [name, at, zone, again] of cases) {
    it.effect(`is to be tried again on the next banking day: ${name}`, () =>
      withService(
        at,
        Effect.gen(function* () {
          const { id } = yield* CollectPayment.schedule(zone === undefined ? invoice : { ...invoice, zone })
          yield* TestDuetime.pass("1 second")
          assert.strictEqual(new Date((yield* declinedOf(id))?.dueAtMs ?? 0).toISOString(), again)
        })
      )
    )
  }
})
