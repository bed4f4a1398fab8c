import { assert, describe, it } from "@effect/vitest"
import { ConfigProvider, Effect, Exit } from "effect"
import { config, defaults } from "../../src/engine/EngineConfig.ts"

const read = (environment: Readonly<Record<string, string>>) =>
  Effect.exit(config.parse(ConfigProvider.fromUnknown(environment)))

describe("The engine's configuration", () => {
  it.effect("is the defaults in an empty environment", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* read({}), Exit.succeed(defaults))
    })
  )

  it.effect("reads durations and counts", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(
        yield* read({
          DUETIME_LOOK_AHEAD: "2 seconds",
          DUETIME_IDLE_POLL: "50 millis",
          DUETIME_WINDOW_TASKS_MIN: "20",
          DUETIME_WINDOW_TASKS_MAX: "500",
          DUETIME_CRITICAL_TASKS_MAX: "5",
          DUETIME_CLAIM_BATCH_SIZE_MAX: "1000",
          DUETIME_DRAIN_LIMIT: "1 minute"
        }),
        Exit.succeed({
          lookAheadMs: 2_000,
          idlePollMs: 50,
          windowTasksMin: 20,
          windowTasksMax: 500,
          criticalTasksMax: 5,
          claimBatchSizeMax: 1_000,
          drainMsMax: 60_000
        })
      )
    })
  )

  it.effect("refuses what would break its rules, and names the key", () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [key: string, value: string]> = [
        ["DUETIME_LOOK_AHEAD", "10 seconds"],
        ["DUETIME_LOOK_AHEAD", "-1 second"],
        ["DUETIME_LOOK_AHEAD", "soon"],
        ["DUETIME_IDLE_POLL", "0 millis"],
        ["DUETIME_WINDOW_TASKS_MIN", "0"],
        ["DUETIME_WINDOW_TASKS_MAX", "12.5"],
        ["DUETIME_CLAIM_BATCH_SIZE_MAX", "1001"],
        ["DUETIME_DRAIN_LIMIT", "Infinity"]
      ]
      for (const [key, value] of wrong) {
        const exit = yield* read({ [key]: value })
        assert.isTrue(Exit.isFailure(exit), `${key}=${value} was accepted`)
        assert.include(String(exit), key)
      }
      assert.isTrue(Exit.isFailure(yield* read({ DUETIME_WINDOW_TASKS_MIN: "50", DUETIME_WINDOW_TASKS_MAX: "20" })))
    })
  )
})
