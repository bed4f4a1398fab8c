import { Effect, Exit, Layer, Schedule, Scope } from "effect"
import type { StoreUnavailable } from "./StoreError.ts"

/** Pause before a store is opened once more, doubling up to the longest. */
const pauseMsMin = 100
const pauseMsMax = 5_000
/** A database that breaks every start is not one that comes back. */
export const openingsMax = 20

/**
 * A store takes many statements to open, and its database may go away between any two. Then everything is closed and
 * opened anew, and a program that is started in the middle of an outage does not end. What cannot get better is told at once.
 */
export const reopening = <A, E extends { readonly _tag: string }, R>(
  store: Layer.Layer<A, E | StoreUnavailable, R>
): Layer.Layer<A, E | StoreUnavailable, R> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const open = Effect.gen(function* () {
        const own = yield* Scope.fork(scope)
        return yield* Layer.build(Layer.fresh(store)).pipe(
          Scope.provide(own),
          Effect.onError((cause) => Scope.close(own, Exit.failCause(cause)))
        )
      })
      return yield* open.pipe(
        Effect.tapError((error) =>
          isBroken(error)
            ? Effect.logWarning(`the database went away while the store was opened, which begins anew: ${error.reason}`)
            : Effect.void
        ),
        Effect.retry({ while: isBroken, schedule: reopenings })
      )
    })
  )

const reopenings = Schedule.min([Schedule.exponential(pauseMsMin), Schedule.spaced(pauseMsMax)]).pipe(
  Schedule.upTo({ times: openingsMax - 1 })
)

/** A connection that broke, or a server that takes none for the moment. */
const isBroken = (error: { readonly _tag: string }): error is StoreUnavailable =>
  error._tag === "StoreUnavailable" && "commitUnknown" in error && error.commitUnknown === true
