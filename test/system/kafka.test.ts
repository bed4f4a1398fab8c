import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { kafkaDrift } from "../../bench/kafka/drift.ts"
import { kafkaFaults } from "../../bench/kafka/faults.ts"
import { seeded } from "../../bench/random.ts"
import type { Floor } from "../../bench/report.ts"

/** Times are the bench's; here only what holds on any machine, however busy. */
const missed = (floors: ReadonlyArray<Floor>) => floors.filter(({ holds, name }) => !holds && !name.includes(" ms "))

describe("engines and workers apart, with Kafka between them", () => {
  it.live(
    "start every task once and none early, also while workers are restarted one after the other",
    () =>
      Effect.gen(function* () {
        const { figures, floors } = yield* kafkaDrift({
          ratePerSecond: 50,
          seconds: 4,
          restartSeconds: 9,
          random: seeded(1)
        })
        assert.deepStrictEqual(missed(floors), [])
        assert.isAbove(figures.steady.dispatched.count, 0, "dispatches arrive")
      }),
    240_000
  )

  it.live(
    "lose nothing and start nothing twice when Kafka is killed, loses its data, and stays away",
    () =>
      Effect.gen(function* () {
        const { figures, floors } = yield* kafkaFaults({
          tasks: 1_000,
          ratePerSecond: 50,
          kills: 1,
          outageSeconds: 4,
          outageRatePerSecond: 50,
          random: seeded(1)
        })
        assert.deepStrictEqual(missed(floors), [])
        assert.isAbove(figures.withoutKafka.pulled.count, 0, "workers pull while Kafka is away")
      }),
    300_000
  )
})
