import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { seeded } from "../../bench/random.ts"
import { recurrences } from "../../bench/recurrences.ts"

describe("a thousand recurrences on one database, some of which share an instant", () => {
  it.live(
    "start at each of their instants once and none early, as plain tasks beside them do",
    () =>
      Effect.gen(function* () {
        const { figures, floors } = yield* recurrences({
          sizes: [1_000],
          ratePerSecond: 20,
          // Each of those that come often comes once.
          seconds: 10,
          burst: 300,
          random: seeded(1)
        })
        assert.deepStrictEqual(
          floors.filter(({ holds }) => !holds),
          []
        )
        const found = figures.bySize["1000"]
        assert.strictEqual(found?.recurringStart.count, 20 * 10)
        assert.strictEqual(found?.plainStart.count, 20 * 10)
        assert.strictEqual(found?.burst?.plainStart.count, 300)
        assert.isAbove(found?.queriesPerSecond ?? 0, 0)
      }),
    180_000
  )
})
