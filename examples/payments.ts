import { Schema } from "effect"
import { RetryPolicy, Task } from "../src/index.ts"

/**
 * A pay-later instalment that is overdue: nothing is more urgent. The provider answers within 50 ms or not at all, so
 * an attempt is given up early and tried again soon.
 */
export const CollectPayment = Task.define("collect-payment", {
  payload: { invoice: Schema.String, customer: Schema.String, amountCents: Schema.Int },
  result: Schema.Struct({ chargeId: Schema.String }),
  queue: "payments",
  priority: "critical",
  timeout: "2 seconds",
  retry: RetryPolicy.exponential({ base: "250 millis", cap: "5 seconds", attemptsMax: 12 }),
  // The provider knows our key, so asking again is safe. For one that does not, say "park": the task then waits for
  // somebody who looks up whether the money has moved.
  onInterrupted: "retry"
})

/** Calls the provider with a key that is the same in every attempt: however often it is asked, it charges once. */
export const paymentService = (url: string) =>
  CollectPayment.handleAsync(async (payment, { idempotencyKey, signal }) => {
    const response = await fetch(new URL("/charges", url), {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
      body: JSON.stringify(payment),
      signal
    })
    const answer = await response.text()
    if (response.ok) return decodeCharge(answer)

    const error = new Error(`the provider answered ${response.status}: ${answer}`)
    if (response.status === 429) throw Task.retryIn("30 seconds", error)
    // Our fault, and it will be so again.
    if (response.status < 500) throw Task.fatal(error)
    throw error
  })

const decodeCharge = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ chargeId: Schema.String })))
