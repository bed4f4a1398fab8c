import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { Duetime, type Pausable } from "../../src/Duetime.ts"
import * as Task from "../../src/Task.ts"
import { TestDuetime } from "../../src/testing/index.ts"

const Charge = Task.define("charge-card", { payload: {}, queue: "billing" })
const Greet = Task.define("greet", { payload: {} })

const process = TestDuetime.layer(
  Layer.mergeAll(
    Charge.handle(() => Effect.void),
    Greet.handle(() => Effect.void)
  )
)

const stagesAfter = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
  return yield* Effect.forEach(ids, (id) =>
    Effect.map(
      Duetime.use((duetime) => duetime.get(id)),
      ({ stage }) => stage
    )
  )
})

const targets: ReadonlyArray<Pausable> = [{ kind: "charge-card" }, { queue: "billing" }]

describe("a pause", () => {
  for (const target of targets) {
    it.effect(
      `of ${JSON.stringify(target)} lets nothing of it start until it is resumed, and everything else go on`,
      () =>
        Effect.gen(function* () {
          const duetime = yield* Duetime
          yield* duetime.pause(target)
          const charge = yield* Charge.schedule({}, { in: "1 minute" })
          const greet = yield* Greet.schedule({}, { in: "1 minute" })
          yield* TestDuetime.pass("1 hour")
          assert.deepStrictEqual(yield* stagesAfter([charge.id, greet.id]), ["pending", "succeeded"])
          yield* duetime.resume(target)
          yield* TestDuetime.pass("10 seconds")
          assert.deepStrictEqual(yield* stagesAfter([charge.id]), ["succeeded"])
        }).pipe(Effect.provide(process))
    )
  }

  const unread = (text: string) => JSON.parse(text)
  for (const [says, target] of [
    ["kind is 'Charge Card'", { kind: "Charge Card" }],
    ["queue is ''", { queue: "" }],
    ["target is {}", unread("{}")],
    ["target is { kind: 'a', queue: 'b' }", unread('{"kind":"a","queue":"b"}')]
  ] as const) {
    it.effect(`is refused when ${says}`, () =>
      Effect.gen(function* () {
        const duetime = yield* Duetime
        for (const wish of [duetime.pause(target), duetime.resume(target)]) {
          const error = yield* Effect.flip(wish)
          assert.include(error.message, `OptionsRejected: ${says}`)
        }
      }).pipe(Effect.provide(process))
    )
  }
})
