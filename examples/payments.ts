import { Schema } from "effect"
import { holidays } from "../src/holidays/index.ts"
import { type Calendar, RetryPolicy, Task } from "../src/index.ts"

/** When the bank books: the country's holidays from a library, and two days of its own. */
export const bankingDays: Calendar = {
  zone: "Europe/Berlin",
  holidays: [...holidays({ country: "DE", years: [2026, 2027, 2028] }), "2026-12-24", "2026-12-31"]
}

/**
 * A pay-later instalment that is overdue: nothing is more urgent. The provider answers within 50 ms or not at all, so
 * an attempt is given up early and tried again soon.
 */
export const CollectPayment = Task.define("collect-payment", {
  payload: {
    invoice: Schema.String,
    customer: Schema.String,
    amountCents: Schema.Int,
    /** The customer's time zone; the bank's where it is not known. */
    zone: Schema.optionalKey(Schema.String)
  },
  result: Schema.Struct({ chargeId: Schema.String }),
  queue: "payments",
  priority: "critical",
  timeout: "2 seconds",
  retry: RetryPolicy.exponential({ base: "250 millis", cap: "5 seconds", attemptsMax: 12 }),
  // Providers forget a key after a day or so, and a task may wait longer than that for a worker. So an attempt that was cut
  // off is not repeated blindly: first the provider is asked whether the money has moved.
  onInterrupted: "park"
})

/** Calls the provider with a key that is the same in every attempt: however often it is asked, it charges once. */
export const paymentService = (url: string, request: typeof fetch = fetch) =>
  CollectPayment.handleAsync(
    async (payment, { idempotencyKey, signal }) => {
      const response = await request(new URL("/charges", url), {
        method: "POST",
        headers: { "content-type": "application/json", "idempotency-key": idempotencyKey },
        body: JSON.stringify(payment),
        signal
      })
      const answer = await response.text()
      if (response.ok) return decodeCharge(answer)

      const error = new Error(`the provider answered ${response.status}: ${answer}`)
      if (response.status === 429) throw Task.retryIn("30 seconds", error)
      // No money today: asked again when the bank has booked, at an hour when the customer is awake.
      if (response.status === 402) {
        const calendar = { ...bankingDays, zone: payment.zone ?? bankingDays.zone }
        throw Task.retryIn({ businessDays: 1, at: "10:00" }, error, { calendar })
      }
      // Our fault, and it will be so again.
      if (response.status < 500) throw Task.fatal(error)
      throw error
    },
    { reconcile: (_, { idempotencyKey, signal }) => lookUpCharge(url, idempotencyKey, signal) }
  )

/** Changes nothing, so it may be asked again and again. Anything but a clear answer throws, and is asked again later. */
export const lookUpCharge = async (url: string, key: string, signal?: AbortSignal) => {
  const response = await fetch(
    new URL(`/charges/${encodeURIComponent(key)}`, url),
    signal === undefined ? {} : { signal }
  )
  const answer = await response.text()
  if (response.ok) return Task.done(decodeCharge(answer))
  if (response.status === 404) return Task.notDone
  throw new Error(`the provider answered ${response.status}: ${answer}`)
}

const decodeCharge = Schema.decodeUnknownSync(Schema.fromJsonString(Schema.Struct({ chargeId: Schema.String })))
