import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { scale } from "../../bench/scale.ts"
import { seeded } from "../../bench/random.ts"

describe("several engines on one database", () => {
  it.live(
    "start every attempt exactly once, by the history and by what the handlers saw",
    () =>
      Effect.gen(function* () {
        const { figures, floors } = yield* scale({ engines: [2], tasks: 1_500, rounds: 1, random: seeded(1) })
        assert.deepStrictEqual(
          floors.filter((floor) => !floor.holds),
          []
        )
        const shares = figures.byEngines["2"]?.lastRound?.callsOfEach ?? []
        assert.isTrue(
          shares.length === 2 && shares.every((share) => share > 0),
          `both engines take part: ${shares.join(", ")}`
        )
      }),
    120_000
  )
})
