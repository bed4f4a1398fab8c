/** Kinds whose ends schedule others; what an attempt does stands in its payload. */
import { Effect, Schema } from "effect"
import { RetryPolicy, Task } from "../../../src/index.ts"

const options = { queue: "follow", retry: RetryPolicy.fixed({ delay: 0, attemptsMax: 1 }), deathsMax: 100 } as const
const persistent = { ...options, retry: RetryPolicy.fixed({ delay: 0, attemptsMax: 100 }) } as const
const payload = { n: Schema.Int }

export const Sale = Task.define("sale", { ...persistent, payload })
/** Its handler gives up each of them. */
export const Loss = Task.define("loss", { ...persistent, payload })
/** Ends in a transaction of its own. */
export const Booking = Task.define("booking", { ...persistent, payload })
export const Receipt = Task.define("receipt", { ...options, payload })
export const Alert = Task.define("alert", { ...options, payload })

export const tasks = [
  Sale.handle(() => Effect.void),
  Loss.handle(() => Task.discard("no")),
  Booking.handle((_, attempt) => attempt.commit((sql) => sql`SELECT 1`)),
  Receipt.handle(() => Effect.void),
  Alert.handle(() => Effect.void)
]
