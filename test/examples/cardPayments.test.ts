import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { mendedHandler, naiveHandler } from "../../examples/cardPayments.ts"
import { simulatePayments } from "../../examples/cardPaymentsSimulation.ts"
import { SimulationFailed, type SimulationReport } from "../../src/testing/index.ts"

const charged = "an invoice is charged once"

const failureOf = (options: Parameters<typeof simulatePayments>[1]) =>
  Effect.map(Effect.flip(simulatePayments(naiveHandler, options)), (error) => {
    assert.instanceOf(error, SimulationFailed)
    return error
  })

describe("the naive payments handler, simulated,", { timeout: 120_000 }, () => {
  it.effect("is found to charge an invoice twice, with few faults and the task's timeline", () =>
    Effect.gen(function* () {
      const error = yield* failureOf({ seed: 1, runs: 200 })
      assert.include(
        error.violations.map(({ invariant }) => invariant),
        charged
      )
      assert.isAtMost(error.only.faults.length, 2)
      assert.match(error.message, new RegExp(`seed ${error.seed} breaks:\\n {2}${charged}`))
      assert.match(error.message, /calls the handler, attempt 1\n[^]*calls cards: [^]*calls the handler, attempt 2/)
      assert.include(error.message, `simulate({ ..., seed: ${error.seed}, runs: 1 })`)

      // What the message says leads there again: to the shrunk history, and to the whole one.
      const again = yield* failureOf({ seed: error.seed, runs: 1, only: error.only })
      assert.strictEqual(again.text.split("Task ")[1], error.text.split("Task ")[1])
      const whole = yield* failureOf({ seed: error.seed, runs: 1 })
      assert.deepStrictEqual(whole.only, error.only)
    })
  )

  it.effect("holds where nothing goes wrong, as in an ordinary test", () =>
    Effect.map(simulatePayments(naiveHandler, { runs: 20, faults: [] }), ({ succeeded, tasks }) =>
      assert.strictEqual(succeeded, tasks)
    )
  )
})

describe("the mended payments handler, simulated,", { timeout: 240_000 }, () => {
  let held: SimulationReport | null = null

  it.effect("holds over 300 histories in which its calls were lost, cut off and cut by crashes", () =>
    Effect.gen(function* () {
      held = yield* simulatePayments(mendedHandler, { seed: 1, runs: 300 })
      const { fired, tasks, traceHashes } = held
      assert.isAbove(tasks, 1_000)
      assert.strictEqual(new Set(traceHashes).size, 300)
      const struck = [
        "CrashAtLeg@outside.reply",
        "Lose@outside.reply",
        "CrashAtLeg@finishWith.reply",
        "Lose@finishWith.reply"
      ]
      assert.includeMembers(Object.keys(fired), struck)
    })
  )

  it.effect("takes the same steps for each of 100 seeds when they are run again", () =>
    Effect.gen(function* () {
      const { traceHashes } = yield* simulatePayments(mendedHandler, { seed: 1, runs: 100 })
      assert.deepStrictEqual(traceHashes, held?.traceHashes.slice(0, 100))
    })
  )
})
