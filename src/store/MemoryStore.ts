import { Clock, Context, Effect, Layer, Queue, type Scope } from "effect"
import { timestampMsMax } from "../core/TaskId.ts"
import { Ids } from "./Ids.ts"
import * as Database from "./memory/MemoryDatabase.ts"
import { MemoryProcess, unavailable, type Fault } from "./memory/MemoryProcess.ts"
import { CurrentTransaction, MemoryTransaction } from "./memory/MemoryTransaction.ts"
import * as MemoryRecurrenceStore from "./MemoryRecurrenceStore.ts"
import * as MemorySession from "./MemorySession.ts"
import { RecurrenceStore } from "./RecurrenceStore.ts"
import { Session } from "./Session.ts"
import { DueBeyondHorizon, LeaseLost, TaskNotFound } from "./StoreError.ts"
import { isEndEvent, TaskStore } from "./TaskStore.ts"

/**
 * The whole port in memory: the same decisions as the database's, on the same machine, driven by Effect's `Clock`
 * and free of promises, so that a simulated hour takes milliseconds and every interleaving can be replayed. It
 * keeps nothing when the process ends: for tests, simulations and trying things out.
 *
 * Each layer is one process with one session. Several of them on one database are a fleet: `layerOn(database)`.
 */
export const layerOn = (
  database: Database.MemoryDatabase
): Layer.Layer<TaskStore | RecurrenceStore | Session | MemoryControl> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const process = new MemoryProcess()
      const session = yield* MemorySession.make(database, process)
      return Context.add(yield* portsOn(database, process), Session, session)
    })
  )

/** The ports of one process without its session, for a simulation that renews leases in a way of its own. */
export const portsOn = Effect.fnUntraced(function* (
  database: Database.MemoryDatabase,
  process: MemoryProcess
): Effect.fn.Return<Context.Context<TaskStore | RecurrenceStore | MemoryControl>> {
  return Context.make(TaskStore, yield* makeStore(database, process)).pipe(
    Context.add(RecurrenceStore, yield* MemoryRecurrenceStore.make(database, process)),
    Context.add(MemoryControl, makeControl(database, process))
  )
})

/** One process on a database of its own. */
export const layer: Layer.Layer<TaskStore | RecurrenceStore | Session | MemoryControl> = Layer.unwrap(
  Effect.map(Database.make(), layerOn)
)

/** What a test may do to this process and its sessions. */
export class MemoryControl extends Context.Service<
  MemoryControl,
  {
    /** Stops the process as SIGKILL does: its operations never answer again, its lease runs out by itself. */
    readonly crash: Effect.Effect<void>
    /** Fails the next operations of this process, each once. */
    readonly failNext: (fault: Fault, times?: number) => Effect.Effect<void>
    /** Cuts this process off from the database, or connects it again. */
    readonly cutOff: (isCutOff: boolean) => Effect.Effect<void>
    /** Ends the lease of any session at once, as when its process dies. */
    readonly killSession: (sessionId: number) => Effect.Effect<void>
    /** Ends it as a process does that stops in order. */
    readonly leaveSession: (sessionId: number) => Effect.Effect<void>
    /** Makes the next ask about a parked task due at once, if there is one. */
    readonly hastenAsk: (taskId: string) => Effect.Effect<void>
    /** As if the recurrence had been made, and last decided, so much earlier. */
    readonly rewind: (recurrence: string, ms: number) => Effect.Effect<void>
    /** One more session, alive for an hour unless killed. */
    readonly openSession: Effect.Effect<number, never, Scope.Scope>
  }
>()("duetime/store/MemoryControl") {}

const openSessionLeaseMs = 3_600_000

const makeControl = (database: Database.MemoryDatabase, process: MemoryProcess): MemoryControl["Service"] => ({
  crash: Effect.sync(() => {
    process.isCrashed = true
  }),
  failNext: (fault, times = 1) =>
    Effect.sync(() => {
      for (let time = 0; time < times; time++) process.faults.push(fault)
    }),
  cutOff: (isCutOff) =>
    Effect.sync(() => {
      process.isCutOff = isCutOff
    }),
  killSession: (sessionId) => Effect.sync(() => database.sessions.end(sessionId)),
  leaveSession: (sessionId) => Effect.sync(() => database.sessions.leave(sessionId)),
  hastenAsk: (taskId) =>
    Effect.sync(() => {
      const parking = database.streams.parked.get(taskId)
      if (parking !== undefined && parking.askAtMs !== null) parking.askAtMs = database.now()
    }),
  rewind: (recurrence, ms) => Effect.sync(() => database.recurrences.rewind(recurrence, ms)),
  openSession: Effect.acquireRelease(
    Effect.sync(() => database.sessions.open(database.now() + openSessionLeaseMs)),
    (sessionId) => Effect.sync(() => database.sessions.end(sessionId))
  )
})

const makeStore = Effect.fnUntraced(function* (
  database: Database.MemoryDatabase,
  process: MemoryProcess
): Effect.fn.Return<TaskStore["Service"]> {
  const clock = yield* Clock.Clock
  const { eventId: newEventId } = yield* Ids
  const { streams } = database
  const found = <A>(taskId: string, answer: A | null) =>
    answer === null ? Effect.fail(new TaskNotFound({ taskId })) : Effect.succeed(answer)

  return {
    clockOffsetMs: () => database.now() - Number(clock.currentTimeNanosUnsafe()) / 1e6,
    schedule: Effect.fnUntraced(function* (batch) {
      const late = batch.find((task) => task.dueAtMs > timestampMsMax)
      if (late !== undefined) return yield* beyondHorizon(late.dueAtMs)
      const transaction = yield* CurrentTransaction
      return yield* process.run("schedule", () => database.schedule(batch, transaction))
    }),
    claim: (request) => process.run("claim", () => database.claim(request, newEventId)),
    claimedBy: (sessionId, dueBeforeMs, limit) =>
      process.run("claimedBy", () => database.claimedBy(sessionId, dueBeforeMs, limit)),
    pull: (request) => process.run("pull", () => database.pull(request)),
    release: (batch) =>
      process.run("release", () =>
        batch.map(({ taskId, ...release }) =>
          database.release(taskId, { _tag: "ReleaseClaim", ...release, atMs: database.now() })
        )
      ),
    start: (sessionId, batch) => process.run("start", () => batch.map((request) => database.start(sessionId, request))),
    startDue: (request) => process.run("startDue", () => database.startDue(request, newEventId)),
    startedWith: (eventIds) => process.run("startedWith", () => database.startedWith(eventIds)),
    finish: (batch) => process.run("finish", () => batch.map((request) => database.finish(request))),
    finishWith: Effect.fnUntraced(function* (effect, requestOf) {
      const transaction = new MemoryTransaction()
      const value = yield* Effect.provideService(effect, CurrentTransaction, transaction)
      const request = requestOf(value)
      const answer = yield* process.run("finishWith", () => database.commit(transaction, request))
      const { attempt, taskId } = request.started
      if (answer === "Lost") return yield* new LeaseLost({ taskId, attempt })
      if (answer === "KeyTaken") {
        return yield* unavailable("finishWith", false, "another transaction has just used the same idempotency key")
      }
      return value
    }),
    look: process.run("look", () => ({
      anyExpired: database.anyExpired(),
      databaseMs: database.now(),
      kinds: database.sessions.kinds(streams.kinds(), database.now())
    })),
    expire: (limit, asOfMs) => process.run("expire", () => database.expire(limit, newEventId, asOfMs)),
    expireTasks: (limit) => process.run("expireTasks", () => database.expireTasks(limit, newEventId)),
    takeParked: (request) => process.run("takeParked", () => database.takeParked(request)),
    reconcile: (request) => process.run("reconcile", () => database.reconcile(request)),
    act: (taskId, eventId, wish) =>
      Effect.flatMap(
        process.run("act", () => database.act(taskId, eventId, wish)),
        (answer) => found(taskId, answer)
      ),
    pause: (target, isPaused) => process.run("pause", () => database.pause(target, isPaused)),
    relayDead: (limit, announce) =>
      Effect.acquireUseRelease(
        process.runInTransaction("relayDead", () => database.deadLetters.lock(limit, process)),
        (letters) =>
          letters.length === 0
            ? Effect.succeed(0)
            : Effect.andThen(
                announce(letters),
                process.run("relayDead", () => database.deadLetters.markAnnounced(letters))
              ),
        (letters) => Effect.sync(() => database.deadLetters.unlock(letters, process))
      ),
    history: (taskId) =>
      Effect.flatMap(
        process.run("history", () => streams.events(taskId)),
        (events) => found(taskId, events)
      ),
    ends: (taskIds) =>
      process.run("ends", () =>
        [...new Set(taskIds)].flatMap((taskId) => {
          const last = streams.events(taskId)?.at(-1)
          return last === undefined ? [] : [{ taskId, end: isEndEvent(last) ? last : null }]
        })
      ),
    groupDead: (limit) => process.run("groupDead", () => database.deadLetters.group(limit)),
    deadGroups: (filter) => process.run("deadGroups", () => database.deadLetters.groups(filter)),
    find: (filter) =>
      process.run("find", () =>
        streams.find(
          filter,
          (taskId) =>
            filter.stage !== "dead" ||
            filter.group === undefined ||
            database.deadLetters.groupOf(taskId) === filter.group
        )
      ),
    streams: (after, limit) => process.run("streams", () => streams.page(after, limit)),
    kinds: process.run("kinds", () => database.sessions.kinds(streams.kinds(), database.now())),
    backlog: process.run("backlog", () => database.backlog()),
    wakeUps: Effect.acquireRelease(
      Effect.tap(Queue.sliding<number>(Database.wakeUpsMax), (queue) => Effect.sync(() => database.subscribe(queue))),
      (queue) => Effect.sync(() => database.unsubscribe(queue)).pipe(Effect.andThen(Queue.shutdown(queue)))
    ),
    maintain: process.run("maintain", () => ({ made: [], dropped: [], leftTo: null }))
  }
})

const beyondHorizon = (dueAtMs: number) =>
  new DueBeyondHorizon({ field: "dueAtMs", value: String(dueAtMs), horizon: String(timestampMsMax) })
