import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { startChild } from "../../examples/demo/child.ts"
import { readLedger } from "../../examples/demo/ledger.ts"
import type { ChargeEntry } from "../../examples/demo/paymentsApi.ts"
import { lookUpCharge } from "../../examples/payments.ts"

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
