/** The lease of a process against a real database: what a lease that ran out can still do, and what not. */
import { assert, layer } from "@effect/vitest"
import { PgClient } from "@effect/sql-pg"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Schedule, Scope } from "effect"
import { defaultKindPolicy } from "../../../src/core/KindPolicy.ts"
import * as PgTaskStore from "../../../src/store/postgres/PgTaskStore.ts"
import { Session } from "../../../src/store/Session.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import { assertAuditIsGreen, claimed, servedKind, start, startedOf, stateOf, unservedKind } from "../contract/world.ts"
import { StoreControl } from "../TaskStore.contract.ts"
import { pgWorld } from "./world.ts"

/** Two leases: the next renewal comes within a quarter of one. */
const looks = Schedule.spaced("50 millis").pipe(Schedule.upTo({ times: 200 }))

const untilRenewed = (sessionId: number) =>
  PgClient.PgClient.use((sql) =>
    sql<{ readonly lives: boolean }>`SELECT lease_until > clock_timestamp() AND ended_at IS NULL AS lives
      FROM duetime.session WHERE session_id = ${sessionId}`.pipe(
      Effect.repeat({ schedule: looks, until: ([row]) => row?.lives === true }),
      Effect.map(([row]) => row?.lives)
    )
  )

layer(pgWorld("embedded"), { excludeTestServices: true })("a session", (it) => {
  it.effect("a lease that ran out is renewed by its own process as long as nobody has ended the session", () =>
    Effect.gen(function* () {
      const session = yield* Session
      const id = session.id()
      const { taskId } = yield* claimed(yield* servedKind())
      yield* (yield* StoreControl).killSession(id)
      assert.isTrue(yield* untilRenewed(id))
      assert.deepStrictEqual(yield* (yield* TaskStore).expire(10), [])
      assert.strictEqual(session.id(), id)
      assert.strictEqual((yield* stateOf(taskId)).stage, "claimed")
      yield* assertAuditIsGreen
    })
  )

  it.effect("a lease whose session a supervisor has ended is lost: the process goes on with another one", () =>
    Effect.gen(function* () {
      const session = yield* Session
      const id = session.id()
      const { taskId } = yield* claimed(yield* servedKind())
      yield* (yield* StoreControl).killSession(id)
      const expired = yield* (yield* TaskStore).expire(10)
      assert.deepInclude(expired, { taskId, from: "claimed", stage: "pending" })
      yield* Effect.sync(() => session.id()).pipe(Effect.repeat({ schedule: looks, until: (now) => now !== id }))
      assert.notStrictEqual(session.id(), id)
      assert.isTrue(session.isAlive())
      yield* assertAuditIsGreen
    })
  )

  it.effect(
    "an announcement that a failover has lost is missed at the next renewal, and not once it is made again",
    () =>
      Effect.gen(function* () {
        const session = yield* Session
        yield* servedKind()
        const until = (isForgotten: boolean) =>
          Effect.sync(session.isForgotten).pipe(
            Effect.repeat({ schedule: looks, until: (found) => found === isForgotten }),
            Effect.map((found) => assert.strictEqual(found, isForgotten))
          )
        yield* until(false)
        yield* PgClient.PgClient.use(
          (sql) => sql`UPDATE duetime.session SET kind_ids = '{}' WHERE session_id = ${session.id()}`
        )
        yield* until(true)
        yield* servedKind()
        yield* until(false)
        yield* untilRenewed(session.id())
        assert.isFalse(session.isForgotten())
      })
  )

  it.effect("a lease that ran out after the instant that a supervisor asks about is nothing to it", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const control = yield* StoreControl
      const sessionId = yield* control.secondSession
      const { taskId } = startedOf(yield* start(yield* claimed(yield* servedKind()), { sessionId }))
      const { databaseMs } = yield* store.look
      yield* control.killSession(sessionId)
      assert.deepStrictEqual(yield* store.expire(10, databaseMs - 1_000), [])
      assert.deepInclude(yield* store.expire(10), { taskId, from: "running", stage: "pending" })
      yield* assertAuditIsGreen
    })
  )

  it.effect("a process that stops in order has not died, whatever it leaves running", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const kind = yield* servedKind()
      const scope = yield* Scope.make()
      const stopping = yield* Layer.build(Layer.fresh(PgTaskStore.layer({ unsafeDurability: true }))).pipe(
        Scope.provide(scope)
      )
      const sessionId = Context.get(stopping, Session).id()
      const { taskId } = startedOf(yield* start(yield* claimed(kind), { sessionId }))
      yield* Scope.close(scope, Exit.void)
      assert.deepInclude(yield* store.expire(10), { taskId, from: "running", stage: "pending" })
      const event = (yield* store.history(taskId)).at(-1)
      assert.strictEqual(event?._tag === "AttemptExpired" && event.reason, "session-left")
      assert.strictEqual((yield* stateOf(taskId)).deaths, 0)
      yield* assertAuditIsGreen
    })
  )

  it.effect(
    "kinds that exist are announced although another one is just being made by a transaction that stays open",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        const session = yield* Session
        const old = yield* servedKind()
        const made = yield* unservedKind
        const [isMade, mayEnd] = [yield* Deferred.make<void>(), yield* Deferred.make<void>()]
        const maker = yield* sql`INSERT INTO duetime.kind (name) VALUES (${made})`.pipe(
          Effect.andThen(Deferred.succeed(isMade, undefined)),
          Effect.andThen(Deferred.await(mayEnd)),
          sql.withTransaction,
          Effect.forkScoped
        )
        yield* Deferred.await(isMade)
        yield* session.serve([])
        const policies = [old, made].map(defaultKindPolicy)
        assert.strictEqual((yield* Effect.flip(session.serve(policies)))._tag, "StoreUnavailable")
        assert.deepStrictEqual(session.ownKinds(), [old])
        yield* Deferred.succeed(mayEnd, undefined)
        yield* Fiber.join(maker)
        yield* session.serve(policies)
        assert.sameMembers([...session.ownKinds()], [old, made])
      })
  )
})
