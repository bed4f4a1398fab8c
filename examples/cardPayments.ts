import { Context, Effect, Schema } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import { RetryPolicy, Task } from "../src/index.ts"

/**
 * Charges a card for an invoice and writes down that it is paid, twice: once as it comes to mind, once as it has to be.
 * `cardPaymentsSimulation.ts` finds what is wrong with the first.
 */
export const ChargeCard = Task.define("charge-card", {
  payload: { invoice: Schema.String, cents: Schema.Int },
  timeout: "5 seconds",
  retry: RetryPolicy.exponential({ attemptsMax: 10, base: "500 millis", cap: "5 seconds" })
})

export type Payment = { readonly invoice: string; readonly chargeId: string }

/** The card provider, over a network. With a key it charges once, however often it is asked. */
export class Cards extends Context.Service<
  Cards,
  { readonly charge: (invoice: string, cents: number, key?: string) => Effect.Effect<string, Error> }
>()("examples/Cards") {}

/** The application's own table of payments. */
export class Payments extends Context.Service<
  Payments,
  {
    readonly isPaid: (invoice: string) => Effect.Effect<boolean, Error>
    /** In the transaction of this client, if there is one. */
    readonly record: (payment: Payment, sql?: SqlClient) => Effect.Effect<void, Error>
  }
>()("examples/Payments") {}

/** Looks whether it was done, does it, and writes it down. It passes every test in which nothing dies in between. */
export const naiveHandler = ChargeCard.handle(
  Effect.fn("naiveHandler")(function* ({ cents, invoice }) {
    const [cards, payments] = [yield* Cards, yield* Payments]
    if (yield* payments.isPaid(invoice)) return
    const chargeId = yield* cards.charge(invoice, cents)
    yield* payments.record({ invoice, chargeId })
  })
)

/** The provider is given the key of the task, and the payment is written down in the transaction that ends it. */
export const mendedHandler = ChargeCard.handle(
  Effect.fn("mendedHandler")(function* ({ cents, invoice }, attempt) {
    const [cards, payments] = [yield* Cards, yield* Payments]
    const chargeId = yield* cards.charge(invoice, cents, attempt.idempotencyKey)
    yield* attempt.commit((sql) => payments.record({ invoice, chargeId }, sql))
  })
)
