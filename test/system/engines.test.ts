import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { engines } from "../../bench/engines.ts"

describe("several engines on one database", () => {
  it.live(
    "start every attempt exactly once, by the history and by what the handlers saw",
    () =>
      Effect.gen(function* () {
        const { figures, floors } = yield* engines({ engines: [2], tasks: 1_500 })
        assert.deepStrictEqual(
          floors.filter((floor) => !floor.holds),
          []
        )
        const shares = figures["2 engines"]?.perEngine ?? []
        assert.isTrue(
          shares.every((share) => share > 0),
          `both engines take part: ${shares.join(", ")}`
        )
      }),
    120_000
  )
})
