import { assert, describe, it } from "@effect/vitest"
import { Clock, Effect } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { Beat, beatMs } from "../../src/engine/Beat.ts"

describe("The beat", () => {
  it.effect("is one instant for all that waits for it, whenever that began to", () =>
    Effect.gen(function* () {
      const clock = yield* Clock.Clock
      const beat = new Beat(clock.currentTimeMillisUnsafe.bind(clock), { id: () => 7 })
      const heardAtMs: Array<number> = []
      const listen = Effect.gen(function* () {
        yield* Effect.sleep(beat.inMs())
        heardAtMs.push(yield* Clock.currentTimeMillis)
      })
      for (let started = 0; started < 5; started++) {
        yield* Effect.forkChild(Effect.forever(listen))
        yield* TestClock.adjust(130)
      }
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(new Set(heardAtMs.map((atMs) => atMs % beatMs)).size, 1)
      assert.isAtLeast(heardAtMs.length, 50)
    })
  )

  it("comes within an interval, has been heard when it is here, and is another one in each session", () => {
    fc.assert(
      fc.property(
        fc.double({ min: 0, max: 1e12, noNaN: true }),
        fc.nat(10_000),
        fc.constantFrom(25, 500, 1_000),
        (nowMs, id, intervalMs) => {
          const inMs = at(nowMs, id).inMs(intervalMs)
          assert.isAtLeast(inMs, 10)
          assert.isAtMost(inMs, intervalMs + 10)
          const again = at(nowMs + inMs, id).inMs(intervalMs)
          assert.isAtLeast(again, intervalMs - 1)
          assert.isAtMost(again, intervalMs + 1)
          assert.notStrictEqual(at(nowMs, id).inMs(), at(nowMs, id + 1).inMs())
        }
      )
    )
  })

  it("is joined by a pause that it falls behind, and shortens none", () => {
    fc.assert(
      fc.property(
        fc.nat(100_000),
        fc.integer({ min: 1, max: 5_000 }),
        fc.integer({ min: 0, max: 900 }),
        (nowMs, pauseMs, slackMs) => {
          const beat = at(nowMs, 3)
          const joinedMs = beat.joinedMs(pauseMs, slackMs)
          assert.isAtLeast(joinedMs, pauseMs)
          assert.isAtMost(joinedMs, pauseMs + slackMs)
          const beats = Array.from({ length: 7 }, (_, place) => beat.inMs() + place * beatMs)
          const isThere = beats.some((beatInMs) => beatInMs >= pauseMs && beatInMs <= pauseMs + slackMs)
          if (isThere) assert.include(beats, joinedMs)
          else assert.strictEqual(joinedMs, pauseMs)
        }
      )
    )
  })
})

const at = (nowMs: number, id: number) => new Beat(() => nowMs, { id: () => id })
