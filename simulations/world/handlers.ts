/** The kinds of a simulated application, whose handlers write down every call: the outside's ledger. */
import { Effect, Layer, Schema } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, Statement } from "effect/sql"
import { Duetime } from "../../src/Duetime.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Task from "../../src/Task.ts"
import { CommitSql } from "../../src/worker/CommitSql.ts"
import type { Attempt } from "../../src/worker/Handlers.ts"
import type { KindName } from "./History.ts"
import type { Kernel } from "../../src/testing/simulation/Kernel.ts"

export type Call = {
  readonly taskId: string
  readonly attempt: number
  /** Of the start that gave the right to call. */
  readonly fence: number
  readonly node: string
  readonly atMs: number
  /**
   * When the worker began it, the database held the lease of the node to be over, or had given it another session. A process that is
   * frozen between that look and the first line of the handler cannot know, so it is not this instant that counts.
   */
  readonly isLeaseOver: boolean
  /** Ms from there until the first line of the handler: a node that was frozen meanwhile may come behind others. */
  readonly begunForMs: number
  /** The handler came to its end, whatever was recorded of it. */
  isDone: boolean
  /** What `attempt.commit` answered; null: it was not called, or nobody knows. */
  commit: "committed" | "lost" | null
}

/** Stands in every payload and nowhere else: it must not be seen in a log, a dispatch or a letter. */
export const secret = "canary-7d1f"

const payload = { workMs: Schema.Finite, failures: Schema.Int, hangs: Schema.Int, secret: Schema.String }
const retry = RetryPolicy.exponential({ attemptsMax: 6, base: "200 millis", cap: "2 seconds" })
const timeout = "4 seconds"
export const capsOfPaced = { concurrency: 2, perSecond: 4 }

export const kinds = {
  post: Task.define("sim.post", { payload, retry, timeout, deathsMax: 1 }),
  mail: Task.define("sim.mail", { payload, retry, timeout, onInterrupted: "park" }),
  // Longer than a lease, which otherwise would never be what ends an attempt first.
  alert: Task.define("sim.alert", {
    payload,
    retry,
    timeout: "10 seconds",
    priority: "critical",
    deathsMax: 1_000
  }),
  pay: Task.define("sim.pay", { payload, retry, timeout, priority: "high", deathsMax: 1_000 }),
  paced: Task.define("sim.paced", { payload, retry, timeout, priority: "low", deathsMax: 1_000, caps: capsOfPaced }),
  /** Of recurrences alone. */
  tick: Task.define("sim.tick", { payload, retry, timeout, deathsMax: 1_000 })
} satisfies Record<KindName | "tick", unknown>

/** Made by `pay` in the transaction of its success: the effect that must be there exactly once. */
export const receipt = Task.define("sim.receipt", {
  payload: { of: Schema.String, attempt: Schema.Int },
  retry,
  timeout,
  deathsMax: 1_000
})

/** Beyond every timeout. */
const hangMs = 30_000

/** What a worker notes of the attempts that it begins. */
export type Begun = { readonly atMs: number; readonly isLeaseOver: boolean }

/** By kind: for the auditor. */
export const policies = new Map([...Object.values(kinds), receipt].map(({ kind, policy }) => [kind, policy]))

export const timeoutMsOf = (kind: string | null): number => policies.get(kind ?? "")?.timeoutMs ?? 0

export const handlersOf = (
  kernel: Kernel,
  node: string,
  ledger: Array<Call>,
  begunOf: (taskId: string, attempt: number) => Begun | undefined,
  onCall: (call: Call) => void = () => {}
) => {
  const called = ({ fence, number, taskId }: Attempt): Call => {
    const atMs = kernel.nowMs
    const begun = begunOf(taskId, number)
    const call: Call = {
      taskId,
      attempt: number,
      fence,
      node,
      atMs,
      isLeaseOver: begun?.isLeaseOver ?? true,
      begunForMs: atMs - (begun?.atMs ?? atMs),
      isDone: false,
      commit: null
    }
    ledger.push(call)
    onCall(call)
    kernel.note(`${node} calls ${taskId} ${number}`)
    return call
  }
  const work = Effect.fnUntraced(function* (
    { failures, hangs, workMs }: { readonly failures: number; readonly hangs: number; readonly workMs: number },
    { number }: Attempt
  ) {
    if (workMs > 0) yield* Effect.sleep(workMs)
    if (number <= failures) return yield* Effect.fail(new Error("as planned"))
    if (number <= failures + hangs) yield* Effect.sleep(hangMs)
  })
  const handler = Effect.fnUntraced(function* (plan: Parameters<typeof work>[0], attempt: Attempt) {
    const call = called(attempt)
    yield* work(plan, attempt)
    call.isDone = true
    return null
  })
  const pay = Effect.fnUntraced(function* (plan: Parameters<typeof work>[0], attempt: Attempt) {
    const call = called(attempt)
    const duetime = yield* Duetime
    yield* work(plan, attempt)
    yield* attempt
      .commit(() => duetime.schedule(receipt, { of: attempt.taskId, attempt: attempt.number }))
      .pipe(
        Effect.tapErrorTag("LeaseLost", () =>
          Effect.sync(() => {
            call.commit = "lost"
          })
        )
      )
    call.commit = "committed"
    call.isDone = true
    return null
  })
  return Layer.mergeAll(
    kinds.post.handle(handler),
    kinds.alert.handle(handler),
    kinds.paced.handle(handler),
    kinds.tick.handle(handler),
    kinds.pay.handle(pay),
    receipt.handle((_, attempt) => Effect.sync(() => void (called(attempt).isDone = true))),
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

/** There is no SQL in the memory store: what a transaction does here is schedule. The client is there to be handed on. */
export const commitSql = Layer.effect(
  CommitSql,
  SqlClient.make({
    acquirer: Effect.die(new Error("the simulated world has no SQL")),
    compiler: Statement.makeCompilerSqlite(),
    driver: "none",
    spanAttributes: []
  }).pipe(Effect.provide(Reactivity.layer))
)
