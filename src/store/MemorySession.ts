import { Clock, Effect, type Scope } from "effect"
import type { KindPolicy } from "../core/KindPolicy.ts"
import type { MemoryDatabase } from "./memory/MemoryDatabase.ts"
import type { MemoryProcess } from "./memory/MemoryProcess.ts"
import { OwnKinds } from "./OwnKinds.ts"
import { renewalsPerLease, type Session } from "./Session.ts"

/**
 * Opens a session on the memory database and renews it from a fiber of the scope. The row's lease runs on the
 * database's clock; what this process may assume (`isAlive`) runs on its own monotonic clock from before the
 * renewal was asked for, and so always ends first. A renewal that comes when a supervisor
 * has ended the session opens a new one.
 */
export const make = (
  database: MemoryDatabase,
  process: MemoryProcess
): Effect.Effect<Session["Service"], never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const monotonicMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
    const leaseMs = database.leaseMs
    const ownKinds = new OwnKinds()
    let policies: ReadonlyArray<KindPolicy> = []
    let isForgotten = false
    let id = database.sessions.open(database.now() + leaseMs)
    let aliveUntilMs = monotonicMs() + leaseMs

    const renew = () => {
      const askedAtMs = monotonicMs()
      const nowMs = database.now()
      if (!database.sessions.renew(id, nowMs + leaseMs)) {
        id = database.sessions.open(nowMs + leaseMs)
        database.sessions.serve(id, policies)
      }
      isForgotten = !ownKinds.equal(database.sessions.servedBy(id))
      aliveUntilMs = askedAtMs + leaseMs
    }

    yield* process.runInSession("renew", renew).pipe(
      // A failed renewal is followed by the next one; three may fail before the lease runs out.
      Effect.ignore,
      Effect.delay(leaseMs / renewalsPerLease),
      Effect.forever,
      Effect.forkScoped
    )
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        if (!process.isCrashed) database.sessions.leave(id)
      })
    )

    return {
      id: () => id,
      isAlive: () => monotonicMs() < aliveUntilMs,
      leaseMs,
      serve: (announced) =>
        process.runInSession("serve", () => {
          policies = announced
          database.sessions.serve(id, announced)
          isForgotten = false
          ownKinds.announced(announced.map((policy) => policy.kind))
        }),
      isForgotten: () => isForgotten,
      ownKinds: () => ownKinds.all,
      newOwnKinds: ownKinds.news
    }
  })
