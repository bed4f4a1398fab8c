import { Clock, Effect, Layer } from "effect"
import { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import { layerOn } from "../../src/store/MemoryStore.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { ControlledClock } from "./ControlledClock.ts"
import { kinds } from "./rules.ts"
import { streamsOf, type Subject } from "./Subject.ts"

/** The store of the simulated world. Each sequence has a new one. */
export const memorySubject: Effect.Effect<Subject> = Effect.sync(() => {
  const clock = new ControlledClock()
  const policies = kinds.map(({ policy }) => policy)
  let database = new MemoryDatabase(clock, leaseMs)
  let store: TaskStore["Service"] | null = null
  const current = Effect.suspend(() =>
    store === null ? Effect.die(new Error("no sequence has begun")) : Effect.succeed(store)
  )
  return {
    name: "memory",
    begin: (nowMs, leasesMs) =>
      Effect.gen(function* () {
        clock.nowMs = nowMs
        database = new MemoryDatabase(clock, leaseMs)
        // It opens a session of its own, which nobody here uses.
        const services = yield* Effect.scoped(Layer.build(Layer.fresh(layerOn(database))))
        store = yield* Effect.provide(TaskStore, services)
        const ids = leasesMs.map((ms) => database.sessions.open(nowMs + ms))
        for (const id of ids) database.sessions.serve(id, policies)
        return ids
      }).pipe(Effect.provideService(Clock.Clock, clock)),
    setNow: (nowMs) =>
      Effect.sync(() => {
        clock.nowMs = nowMs
      }),
    kill: (id, nowMs) => Effect.sync(() => void database.sessions.renew(id, nowMs - 1)),
    leave: (id) => Effect.sync(() => database.sessions.leave(id)),
    streams: Effect.flatMap(current, streamsOf),
    get stores() {
      return store === null ? [] : [store]
    }
  }
})

const leaseMs = 3_600_000
