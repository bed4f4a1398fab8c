import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Logger } from "effect"
import { Outage } from "../../src/engine/Outage.ts"

describe("An outage", () => {
  it.effect("is logged when it begins and when it ends, however many tries lie between", () => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel} ${Array.isArray(message) ? String(message[0]) : String(message)}`)
    })
    return Effect.gen(function* () {
      let nowMs = 0
      const outage = new Outage("The store", () => nowMs)
      assert.strictEqual(yield* outage.attempt(Effect.succeed(1)), 1)
      const pauses: Array<number> = []
      for (let failure = 0; failure < 7; failure++) {
        assert.isUndefined(yield* outage.attempt(failure % 2 === 0 ? Effect.fail("down") : Effect.die("broken")))
        pauses.push(outage.backoffMs)
        nowMs += 1_000
      }
      assert.deepStrictEqual(pauses, [50, 100, 200, 400, 800, 1_000, 1_000])
      assert.isTrue(outage.isOpen)
      assert.strictEqual(yield* outage.attempt(Effect.succeed(2)), 2)
      assert.isFalse(outage.isOpen)
      yield* outage.attempt(Effect.fail("down again"))
      assert.strictEqual(outage.backoffMs, 50)
      assert.deepStrictEqual(lines, [
        "Warn The store does not answer; trying again until it does.",
        "Info The store answers again after 7.0 s and 7 failed tries.",
        "Warn The store does not answer; trying again until it does."
      ])
    }).pipe(Effect.provide(Logger.layer([logger])))
  })

  it.effect("is no reason to survive an interruption", () =>
    Effect.gen(function* () {
      const outage = new Outage("The store", () => 0)
      const fiber = yield* Effect.forkChild(outage.attempt(Effect.never), { startImmediately: true })
      yield* Fiber.interrupt(fiber)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause))
      assert.isFalse(outage.isOpen)
    })
  )
})
