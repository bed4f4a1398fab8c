import { PgClient } from "@effect/sql-pg"
import { Deferred, Effect, Fiber } from "effect"

/** Holds a snapshot, as a forgotten session or a long report would, until it is let go. */
export const pinSnapshot = Effect.gen(function* () {
  const sql = yield* PgClient.PgClient
  const isPinned = yield* Deferred.make<void>()
  const isOver = yield* Deferred.make<void>()
  const holding = yield* Effect.forkChild(
    sql.withTransaction(
      Effect.gen(function* () {
        yield* sql`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ`.unprepared
        yield* sql`SELECT count(*) FROM pg_class`
        yield* Deferred.succeed(isPinned, undefined)
        yield* Deferred.await(isOver)
      })
    )
  )
  yield* Deferred.await(isPinned)
  return { letGo: Effect.andThen(Deferred.succeed(isOver, undefined), Fiber.join(holding)) }
})
