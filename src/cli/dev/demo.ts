/** What `duetime dev --demo` runs: a steady kind, one that comes in bursts, and one that fails at first. */
import { Data, Effect, Schema } from "effect"
import { RetryPolicy, Task } from "../../index.ts"

const burstTasks = 50

const SendReminder = Task.define("send-reminder", { payload: { email: Schema.String } })

const CloseOrders = Task.define("close-orders", { payload: {} })
const SendReceipt = Task.define("send-receipt", { payload: { order: Schema.Int }, priority: "low" })

class BankUnavailable extends Data.TaggedError("BankUnavailable")<{ readonly message: string }> {}

const ChargeCard = Task.define("charge-card", {
  payload: { cents: Schema.Int },
  priority: "high",
  retry: RetryPolicy.exponential({ base: "1 second", cap: "10 seconds", attemptsMax: 3 })
})

const orders = Array.from({ length: burstTasks }, (_, order) => ({ payload: { order }, in: "1 second" as const }))

export const tasks = [
  SendReminder.handle(() => Effect.sleep("20 millis")),
  SendReminder.recur("demo-reminders", { every: "2 seconds", payload: { email: "ada@example.com" } }),

  CloseOrders.handle(() => Effect.asVoid(SendReceipt.scheduleMany(orders))),
  CloseOrders.recur("demo-orders", { every: "20 seconds", payload: {} }),
  SendReceipt.handle(() => Effect.sleep("5 millis")),

  ChargeCard.handle((_, { number }) =>
    number === 1 ? Effect.fail(new BankUnavailable({ message: "the bank answers 503" })) : Effect.void
  ),
  ChargeCard.recur("demo-charges", { every: "3 seconds", payload: { cents: 4_200 } })
]
