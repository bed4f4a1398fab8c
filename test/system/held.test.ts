import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { held } from "../../bench/held.ts"

describe("tasks scheduled in SQL by transactions that stay open beyond the due time", () => {
  it.live(
    "start after the commit and not before, once each, and a rollback leaves nothing",
    () =>
      Effect.gen(function* () {
        const { figures, floors } = yield* held({ tasks: 20, seconds: 4 })
        assert.deepStrictEqual(
          floors.filter(({ holds }) => !holds),
          []
        )
        assert.strictEqual(figures.fromCommitToStart.count, 20)
        assert.isAbove(figures.lateOfHeld.p50, 3_500)
        assert.isAbove(figures.committedAtOnce.count, 0)
      }),
    120_000
  )
})
