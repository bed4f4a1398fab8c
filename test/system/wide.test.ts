import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { seeded } from "../../bench/random.ts"
import { wide } from "../../bench/wide.ts"

describe("many workers with little to do each, on one database", () => {
  it.live(
    "start every task once and none early, each worker from connections of its own",
    () =>
      Effect.gen(function* () {
        const { figures, floors } = yield* wide({
          workers: 6,
          processes: 2,
          ratePerSecond: 20,
          seconds: 4,
          random: seeded(1)
        })
        assert.deepStrictEqual(
          floors.filter((floor) => !floor.holds),
          []
        )
        assert.strictEqual(figures.start.count, 6 * 20 * 4)
        assert.isAtLeast(figures.connections["duetime-session"] ?? 0, 6, "a session each")
        assert.isAbove(figures.buffersPerClaim ?? 0, 0)
      }),
    120_000
  )
})
