import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { audit } from "../../src/core/audit.ts"
import { evolve, fold } from "../../src/core/evolve.ts"
import { isEnded, stages, type TaskState } from "../../src/core/TaskState.ts"
import { intents } from "./situations.ts"
import { claim, expireLeft, noFence, schedule, start, startMs, TaskActor, type Intent } from "./TaskActor.ts"

describe("any sequence of commands", () => {
  const anyIntent: fc.Arbitrary<Intent> = fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(claim, start, schedule()) },
    fc.constantFrom(...intents, expireLeft),
    fc.record({ _tag: fc.constant("Snooze" as const), inMs: fc.integer({ min: 0, max: 50 }) }),
    fc.record({ _tag: fc.constant("Reschedule" as const), dueAtMs: fc.integer({ min: startMs, max: startMs + 200 }) })
  )
  const anyLife = fc.record({
    attemptsMax: fc.integer({ min: 1, max: 3 }),
    deathsMax: fc.integer({ min: 1, max: 4 }),
    onInterrupted: fc.constantFrom("retry" as const, "park" as const),
    delayMs: fc.integer({ min: 0, max: 30 }),
    /** After the due time; null: never. */
    expiresInMs: fc.option(fc.integer({ min: 1, max: 300 })),
    jitter: fc.constantFrom("full" as const, "none" as const),
    commands: fc.array(fc.tuple(anyIntent, fc.boolean()), { maxLength: 60, size: "max" })
  })

  const live = ({
    attemptsMax,
    commands,
    deathsMax,
    delayMs,
    expiresInMs,
    jitter,
    onInterrupted
  }: typeof anyLife extends fc.Arbitrary<infer A> ? A : never) => {
    const retry = {
      attemptsMax,
      delay: { _tag: "Exponential", baseMs: delayMs, factor: 2, capMs: 100 },
      jitter
    } as const
    const actor = new TaskActor({ retry, onInterrupted, deathsMax }).lives(
      schedule({ expiresAtMs: expiresInMs === null ? null : startMs + expiresInMs })
    )
    for (const [intent, hasOldFence] of commands) actor.does(intent, hasOldFence ? noFence : undefined)
    return actor
  }

  it("leaves a history in which the auditor finds nothing", () => {
    let longest = 0
    const ends = new Set<string>()
    fc.assert(
      fc.property(anyLife, (life) => {
        const actor = live(life)
        longest = Math.max(longest, actor.events.length)
        ends.add(actor.state?.stage ?? "none")
        assert.deepStrictEqual(audit([actor.stream], { policyOf: () => actor.policy }), [])
      }),
      { numRuns: 1_000, seed: 20_261_123 }
    )
    // A generator that goes nowhere would find nothing, too.
    assert.isAbove(longest, 20)
    assert.deepStrictEqual([...ends].toSorted(), [...stages].toSorted())
  })

  it("leaves versions 1 to n and a state that is the fold of its events", () => {
    fc.assert(
      fc.property(anyLife, (life) => {
        const { events, state } = live(life)
        assert.deepStrictEqual(
          events.map(({ version }) => version),
          events.map((_, index) => index + 1)
        )
        assert.deepStrictEqual(fold(events), state)
      }),
      { numRuns: 500, seed: 7 }
    )
  })

  it("ends for ever, but for a redrive and a discard of a dead letter", () => {
    fc.assert(
      fc.property(anyLife, (life) => {
        const { events } = live(life)
        let state: TaskState | null = null
        for (const event of events) {
          if (state !== null && isEnded(state.stage)) {
            assert.strictEqual(state.stage, "dead")
            assert.include(["TaskRedriven", "TaskCancelled"], event._tag)
          }
          state = evolve(state, event)
        }
      }),
      { numRuns: 500, seed: 8 }
    )
  })
})
