import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { defaultKindPolicy } from "../../../src/core/KindPolicy.ts"
import { Session } from "../../../src/store/Session.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import { pgStore } from "./world.ts"

/** Enough: 32 looks met an announcement in its middle when policies were read by a statement of their own. */
const kindsCount = 100

layer(pgStore("embedded"), { excludeTestServices: true, timeout: 120_000 })("a kind that is being announced", (it) => {
  it.effect("is unknown or has the policy announced, never the default one as if it were known", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const session = yield* Session
      let half = 0
      const look = Effect.map(store.kinds, (kinds) => {
        half += kinds.filter(({ known, policy }) => known && policy.queue !== "announced").length
      })
      const looking = yield* Effect.forkChild(Effect.forever(look))
      for (let number = 0; number < kindsCount; number++) {
        yield* session.serve([{ ...defaultKindPolicy(`kind-${number}`), queue: "announced" }])
      }
      yield* Fiber.interrupt(looking)
      assert.strictEqual(half, 0)
    })
  )
})
