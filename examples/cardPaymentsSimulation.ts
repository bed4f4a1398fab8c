import { Effect, Layer } from "effect"
import { Ledger, Outside, plan, simulate, type SimulateOptions, type SimulatedOutcome } from "../src/testing/index.ts"
import { Cards, ChargeCard, type naiveHandler, type Payment, Payments } from "./cardPayments.ts"

/** What the provider does for a request that it has not seen before: the effect that must not happen twice. */
const charges = Outside.service<{ readonly invoice: string; readonly cents: number }, string>(
  "cards",
  (_, earlier) => `ch_${earlier.length + 1}`
)
const payments = Ledger.table<Payment>("payment")

/** The services of the handlers, simulated: what they do outlives the node, and each call may be cut by a fault. */
const simulatedServices = Layer.mergeAll(
  Layer.effect(
    Cards,
    Effect.map(Outside, (outside) => ({
      charge: (invoice: string, cents: number, key?: string) =>
        charges.call({ invoice, cents }, { key: key ?? null }).pipe(Effect.provideService(Outside, outside))
    }))
  ),
  Layer.effect(
    Payments,
    Effect.map(Ledger, (ledger) => ({
      isPaid: (invoice: string) =>
        Effect.map(payments.rows, (rows) => rows.some((row) => row.invoice === invoice)).pipe(
          Effect.provideService(Ledger, ledger)
        ),
      record: (payment: Payment) => payments.insert(payment).pipe(Effect.provideService(Ledger, ledger))
    }))
  )
)

function* chargedTwice(outcome: SimulatedOutcome) {
  const first = new Map<string, string>()
  for (const { answer, request, taskId } of charges.in(outcome)) {
    const other = first.get(request.invoice)
    if (other !== undefined) yield { taskId, message: `${request.invoice} is charged as ${other} and as ${answer}` }
    else first.set(request.invoice, answer)
  }
}

function* unpaidSuccesses(outcome: SimulatedOutcome) {
  const paid = new Set(payments.in(outcome).map(({ taskId }) => taskId))
  for (const { id, stage } of outcome.tasks) {
    if (stage === "succeeded" && !paid.has(id)) yield { taskId: id, message: "has succeeded without a payment" }
  }
}

/** A handful of invoices within some seconds, in a cluster where everything goes wrong. */
export const simulatePayments = (
  handler: typeof naiveHandler,
  options: Partial<Pick<SimulateOptions, "seed" | "runs" | "only" | "nodes" | "faults">> = {}
) =>
  simulate({
    tasks: [ChargeCard],
    handlers: handler.pipe(Layer.provide(simulatedServices)),
    workload: (draw) =>
      draw.times(draw.integer(1, 8), (n) =>
        plan(
          ChargeCard,
          { invoice: `INV-${n + 1}`, cents: draw.integer(100, 9_999) },
          {
            after: draw.integer(0, 4_000),
            in: draw.integer(0, 4_000)
          }
        )
      ),
    invariants: {
      "an invoice is charged once": chargedTwice,
      "a task that has succeeded has its payment": unpaidSuccesses
    },
    ...options
  })
