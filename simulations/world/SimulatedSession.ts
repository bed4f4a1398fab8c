/**
 * The lease of a simulated process, renewed as the real one renews its own: a renewal has a request and a reply leg like every
 * call, so it may be lost, late, repeated or cut off, and the process believes in its lease only from before it asked.
 */
import { Clock, Effect, type Scope } from "effect"
import type { KindPolicy } from "../../src/core/KindPolicy.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { SessionServer } from "./Recorder.ts"
import { OwnKinds } from "../../src/store/OwnKinds.ts"
import { renewalsPerLease, type Session } from "../../src/store/Session.ts"
import type { Owner } from "../../src/testing/simulation/Kernel.ts"
import type { Legs } from "../../src/testing/simulation/Legs.ts"

/** Between two tries after one that failed. */
const retryDelayMs = 100

export const sessionsOf = (database: MemoryDatabase): SessionServer => ({
  open: (policies) => {
    const sessionId = database.sessions.open(database.now() + database.leaseMs)
    database.sessions.serve(sessionId, policies)
    return sessionId
  },
  renew: (sessionId) => database.sessions.renew(sessionId, database.now() + database.leaseMs),
  servedBy: (sessionId) => database.sessions.servedBy(sessionId),
  serve: (sessionId, policies) => database.sessions.serve(sessionId, policies)
})

export const makeSession = Effect.fnUntraced(function* (
  server: SessionServer,
  leaseMs: number,
  owner: Owner,
  legs: Legs,
  /** Told of each session that this process has had. */
  opens: (sessionId: number) => void
): Effect.fn.Return<Session["Service"], never, Scope.Scope> {
  const clock = yield* Clock.Clock
  const monotonicMs = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
  const ownKinds = new OwnKinds()
  let policies: ReadonlyArray<KindPolicy> = []
  let isForgotten = false
  let id: number | null = null
  let lastId = 0
  let aliveUntilMs = 0

  const open = Effect.gen(function* () {
    const askedAtMs = monotonicMs()
    const opened = yield* legs.call(
      owner,
      "openSession",
      Effect.sync(() => server.open(policies))
    )
    id = lastId = opened
    opens(opened)
    aliveUntilMs = askedAtMs + leaseMs
  })

  const renew = Effect.fnUntraced(function* (sessionId: number) {
    const askedAtMs = monotonicMs()
    const { isRenewed, served } = yield* legs.call(
      owner,
      "renew",
      Effect.sync(() => ({ isRenewed: server.renew(sessionId), served: server.servedBy(sessionId) }))
    )
    isForgotten = isRenewed && !ownKinds.equal(served)
    aliveUntilMs = isRenewed ? askedAtMs + leaseMs : 0
    if (!isRenewed) id = null
  })

  /** Whether there is a session afterwards. The real one does not wait for an answer for ever; here that would cost a tenth of all steps. */
  const beat = Effect.suspend(() => (id === null ? open : renew(id))).pipe(
    Effect.match({ onFailure: () => false, onSuccess: () => id !== null })
  )
  while (!(yield* beat)) yield* Effect.sleep(retryDelayMs)
  yield* Effect.gen(function* () {
    yield* Effect.sleep(leaseMs / renewalsPerLease)
    while (!(yield* beat)) yield* Effect.sleep(retryDelayMs)
  }).pipe(Effect.forever, Effect.forkScoped)

  return {
    // Until there is a new one everything is held, or lost, under the old one's name.
    id: () => id ?? lastId,
    isAlive: () => monotonicMs() < aliveUntilMs,
    leaseMs,
    serve: (announced) =>
      Effect.suspend(() => {
        const sessionId = id ?? lastId
        const said = Effect.sync(() => server.serve(sessionId, announced))
        // Only then: a process must not claim by policies that the database does not have.
        return Effect.map(legs.call(owner, "serve", said), () => {
          policies = announced
          isForgotten = false
          ownKinds.announced(announced.map((policy) => policy.kind))
        })
      }),
    isForgotten: () => isForgotten,
    ownKinds: () => ownKinds.all,
    newOwnKinds: ownKinds.news
  }
})
