import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { makeGate } from "../../src/broker/Gate.ts"
import { forkPreempted, preemptions, turnsMax, turnsOfOthers } from "./preempted.ts"

describe("A gate", () => {
  it.effect("lets through at once whose condition holds", () => makeGate().until(() => true))

  it.effect("lets each of several through when its own condition holds", () =>
    Effect.gen(function* () {
      const gate = makeGate()
      let level = 0
      const waiting = yield* Effect.forEach([3, 1, 2], (from) =>
        Effect.forkChild(
          gate.until(() => level >= from),
          { startImmediately: true }
        )
      )
      const through = () => waiting.map((fiber) => fiber.pollUnsafe() !== undefined)
      for (const expected of [
        [false, true, false],
        [false, true, true],
        [true, true, true]
      ]) {
        level++
        gate.changed()
        yield* Effect.yieldNow
        assert.deepStrictEqual(through(), expected)
      }
    })
  )

  it.effect("keeps whoever finds the condition taken back in its turn", () =>
    Effect.gen(function* () {
      const gate = makeGate()
      let left = 0
      const takes = Effect.andThen(
        gate.until(() => left > 0),
        Effect.sync(() => left--)
      )
      const waiting = yield* Effect.forEach([1, 2, 3], () => Effect.forkChild(takes, { startImmediately: true }))
      for (let count = 1; count <= waiting.length; count++) {
        left++
        gate.changed()
        yield* Effect.yieldNow
        assert.strictEqual(waiting.filter((fiber) => fiber.pollUnsafe() !== undefined).length, count)
        assert.strictEqual(left, 0)
      }
    })
  )

  it.effect("forgets whoever is interrupted", () =>
    Effect.gen(function* () {
      const gate = makeGate()
      let looks = 0
      const waiting = yield* Effect.forkChild(
        gate.until(() => {
          looks++
          return false
        }),
        { startImmediately: true }
      )
      yield* Fiber.interrupt(waiting)
      const before = looks
      gate.changed()
      assert.strictEqual(looks, before)
    })
  )

  it.effect("keeps nobody whose condition holds, at whichever step two that wait have lost their turns", () =>
    Effect.gen(function* () {
      for (const { opsPerTurn, turns } of preemptions) {
        const gate = makeGate()
        let isOpen = false
        const first = yield* forkPreempted(
          gate.until(() => isOpen),
          opsPerTurn
        )
        yield* turnsOfOthers(turns)
        isOpen = true
        gate.changed()
        // It waits for something else, and for its part the gate is shut.
        const second = yield* forkPreempted(
          gate.until(() => false),
          opsPerTurn
        )
        yield* turnsOfOthers(turnsMax)
        assert.isDefined(first.pollUnsafe(), `${opsPerTurn} steps a turn, ${turns} turns`)
        yield* Fiber.interrupt(second)
      }
    })
  )
})
