/** The kinds of a simulated application, whose handlers write down every call: the outside's ledger. */
import { Effect, Layer, Schema } from "effect"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Task from "../../src/Task.ts"
import type { Attempt } from "../../src/worker/Handlers.ts"
import type { Kernel } from "./Kernel.ts"

export type Call = {
  readonly taskId: string
  readonly attempt: number
  /** Of the start that gave the right to call. */
  readonly fence: number
  readonly node: string
  readonly atMs: number
  /** The handler came to its end, whatever was recorded of it. */
  isDone: boolean
}

const payload = { workMs: Schema.Finite, failures: Schema.Int }
const retry = RetryPolicy.exponential({ attemptsMax: 6, base: "200 millis", cap: "2 seconds" })

export const kinds = {
  post: Task.define("sim.post", { payload, retry, timeout: "4 seconds", deathsMax: 1_000 }),
  mail: Task.define("sim.mail", { payload, retry, timeout: "4 seconds", onInterrupted: "park" }),
  alert: Task.define("sim.alert", { payload, retry, timeout: "4 seconds", priority: "critical", deathsMax: 1_000 })
}

export const handlersOf = (kernel: Kernel, node: string, ledger: Array<Call>) => {
  const handler = (
    { failures, workMs }: { readonly failures: number; readonly workMs: number },
    { fence, number, taskId }: Attempt
  ) =>
    Effect.gen(function* () {
      const call: Call = { taskId, attempt: number, fence, node, atMs: kernel.nowMs, isDone: false }
      ledger.push(call)
      kernel.note(`${node} calls ${taskId} ${number}`)
      if (workMs > 0) yield* Effect.sleep(workMs)
      if (number <= failures) return yield* Effect.fail(new Error("as planned"))
      call.isDone = true
      return null
    })
  return Layer.mergeAll(
    kinds.post.handle(handler),
    kinds.alert.handle(handler),
    kinds.mail.handle(handler, {
      reconcile: (_, { number, taskId }) =>
        Effect.sync(() =>
          ledger.some((call) => call.taskId === taskId && call.attempt === number && call.isDone)
            ? Task.done(null)
            : Task.notDone
        )
    })
  )
}
