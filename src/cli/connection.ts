import * as Effect from "effect/Effect"
import type { DeadLetters } from "../DeadLetters.ts"
import type { Duetime } from "../Duetime.ts"
import type { Projections } from "../store/Projections.ts"
import type { Retention } from "../store/Retention.ts"
import type { TaskStore } from "../store/TaskStore.ts"
import type { Vitals } from "../store/Vitals.ts"

export type Client = {
  /** What an application may ask. */
  readonly duetime: Duetime["Service"]
  readonly deadLetters: DeadLetters["Service"]
  /** What only tools ask: kinds, backlog, whole streams. */
  readonly store: TaskStore["Service"]
}

/**
 * Runs an effect with a connection to the database named by DUETIME_DATABASE_URL, which it closes afterwards. The driver
 * is loaded here and not before: it is half of a program's start-up time, and `--help` does not need it.
 */
export const withClient = Effect.fnUntraced(function* <A, E, R>(use: (client: Client) => Effect.Effect<A, E, R>) {
  const [{ layerClient }, { DeadLetters }, { Duetime }, { TaskStore }] = yield* Effect.promise(() =>
    Promise.all([
      import("../layers.ts"),
      import("../DeadLetters.ts"),
      import("../Duetime.ts"),
      import("../store/TaskStore.ts")
    ])
  )
  const used = Effect.gen(function* () {
    return yield* use({ duetime: yield* Duetime, deadLetters: yield* DeadLetters, store: yield* TaskStore })
  })
  return yield* Effect.provide(used, layerClient)
})

/** As above, for what is done to days of history. */
export const withRetention = Effect.fnUntraced(function* <A, E, R>(
  use: (retention: Retention["Service"]) => Effect.Effect<A, E, R>
) {
  const [{ layerRetention }, { Retention }] = yield* Effect.promise(() =>
    Promise.all([import("../layers.ts"), import("../store/Retention.ts")])
  )
  return yield* Effect.provide(Effect.flatMap(Retention, use), layerRetention)
})

/** As above, for what looks at events and rows side by side. */
export const withProjections = Effect.fnUntraced(function* <A, E, R>(
  use: (projections: Projections["Service"]) => Effect.Effect<A, E, R>
) {
  const [{ layerProjections }, { Projections }] = yield* Effect.promise(() =>
    Promise.all([import("../layers.ts"), import("../store/Projections.ts")])
  )
  return yield* Effect.provide(Effect.flatMap(Projections, use), layerProjections)
})

/** As above, for what is measured of the system; the database may be in any state. */
export const withVitals = Effect.fnUntraced(function* <A, E, R>(
  use: (vitals: Vitals["Service"]) => Effect.Effect<A, E, R>
) {
  const [{ layerVitals }, { Vitals }] = yield* Effect.promise(() =>
    Promise.all([import("../layers.ts"), import("../store/Vitals.ts")])
  )
  return yield* Effect.provide(Effect.flatMap(Vitals, use), layerVitals)
})
