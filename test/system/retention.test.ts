import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { seeded } from "../../bench/random.ts"
import { retention } from "../../bench/retention.ts"

describe("a day that is dropped while tasks run and a reader holds a long transaction", () => {
  it.live(
    "goes, but for its stragglers, and no task is lost, early or started twice",
    () =>
      Effect.gen(function* () {
        const { floors } = yield* retention({ tasks: 20_000, ratePerSecond: 50, seconds: 5, random: seeded(1) })
        assert.deepStrictEqual(
          // How late they are is the benchmark's, on a quiet machine.
          floors.filter(({ holds, name }) => !holds && !name.startsWith("drift")),
          []
        )
      }),
    180_000
  )
})
