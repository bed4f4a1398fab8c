import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { openingsMax, reopening } from "../../src/store/reopening.ts"
import { SchemaOutdated, StoreUnavailable } from "../../src/store/StoreError.ts"

class Opened extends Context.Service<Opened, { readonly number: number }>()("test/Opened") {}

const broken = new StoreUnavailable({ operation: "checkSchema", commitUnknown: true, reason: "the connection broke" })

/** A store whose openings fail until there is no error left; counts what is open. */
const storeThatFails = <E extends { readonly _tag: string }>(errors: ReadonlyArray<E>) => {
  const counts = { opened: 0, open: 0 }
  const layer = Layer.effect(
    Opened,
    Effect.gen(function* () {
      counts.opened++
      yield* Effect.acquireRelease(
        Effect.sync(() => counts.open++),
        () => Effect.sync(() => counts.open--)
      )
      const error = errors[counts.opened - 1]
      if (error !== undefined) return yield* Effect.fail(error)
      return { number: counts.opened }
    })
  )
  return { counts, store: reopening(layer) }
}

describe("a store", () => {
  it.effect(
    "whose database goes away while it is opened is opened anew, and leaves nothing open of the tries before",
    () =>
      Effect.gen(function* () {
        const { counts, store } = storeThatFails([broken, broken])
        const opening = yield* Effect.forkChild(Layer.build(store))
        yield* TestClock.adjust("1 second")
        assert.strictEqual(Context.get(yield* Fiber.join(opening), Opened).number, 3)
        assert.strictEqual(counts.open, 1)
      }).pipe(Effect.scoped)
  )

  it.effect("that cannot be opened for another reason says so at once", () =>
    Effect.gen(function* () {
      const outdated = new SchemaOutdated({ found: 1, needed: 2 })
      const { counts, store } = storeThatFails([outdated])
      assert.strictEqual(yield* Effect.flip(Layer.build(store)), outdated)
      assert.deepStrictEqual(counts, { opened: 1, open: 0 })
    }).pipe(Effect.scoped)
  )

  it.effect("that breaks every time says so in the end", () =>
    Effect.gen(function* () {
      const { counts, store } = storeThatFails(Array.from({ length: 100 }, () => broken))
      const opening = yield* Effect.forkChild(Effect.flip(Layer.build(store)))
      yield* TestClock.adjust("5 minutes")
      assert.strictEqual(yield* Fiber.join(opening), broken)
      assert.deepStrictEqual(counts, { opened: openingsMax, open: 0 })
    }).pipe(Effect.scoped)
  )
})
