import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer } from "effect"
import { linkFindings } from "../../../src/cli/linkFindings.ts"
import { eachPage } from "../../../src/cli/eachPage.ts"
import { auditAcross, auditKey, auditRow, auditStream, type Violation } from "../../../src/core/audit.ts"
import * as PgProjections from "../../../src/store/postgres/PgProjections.ts"
import * as PgTaskStore from "../../../src/store/postgres/PgTaskStore.ts"
import { RecurrenceStore } from "../../../src/store/RecurrenceStore.ts"
import { Projections } from "../../../src/store/Projections.ts"
import { Session } from "../../../src/store/Session.ts"
import { StoreUnavailable } from "../../../src/store/StoreError.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import { database, type ServerKind } from "../../setup/database.ts"
import { StoreControl } from "../TaskStore.contract.ts"

/** The PostgreSQL store on a database of its own. Tests run without fsync, which the store would refuse. */
export const pgStore = (server: ServerKind) =>
  PgTaskStore.layer({ migrate: true, unsafeDurability: true }).pipe(Layer.provideMerge(database({ server })))

/** As the command line audits: every column of every row, from the streams and from the rows. */
const auditRows = Effect.gen(function* () {
  const projections = yield* Projections
  const violations: Array<Violation> = []
  yield* eachPage("stream", projections.streams, (streams) =>
    Effect.map(linkFindings(projections, streams), (found) => {
      violations.push(...found, ...streams.flatMap((stream) => auditStream(stream)))
    })
  )
  yield* eachPage("row", projections.rows, (rows) =>
    Effect.sync(() => violations.push(...rows.flatMap((row) => auditRow(row))))
  )
  return [...violations, ...auditAcross(yield* projections.twins), ...(yield* projections.keyFaults).map(auditKey)]
}).pipe(Effect.provide(PgProjections.layer))

/** The contract's world: the store, with faults injected between the port and its caller. */
export const pgWorld = (server: ServerKind) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      const store = yield* TaskStore
      const recurrences = yield* RecurrenceStore
      let fault: "before" | "after" | null = null
      const lost = (commitUnknown: boolean) =>
        new StoreUnavailable({ operation: "test", commitUnknown, reason: "the connection broke" })
      const faulty = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.suspend((): Effect.Effect<A, E | StoreUnavailable, R> => {
          const now = fault
          fault = null
          if (now === null) return effect
          return now === "before" ? Effect.fail(lost(false)) : Effect.andThen(effect, Effect.fail(lost(true)))
        })
      const taken = (wanted: "before" | "after"): boolean => {
        if (fault !== wanted) return false
        fault = null
        return true
      }
      return Context.make(
        TaskStore,
        TaskStore.of({
          ...store,
          schedule: (batch) => faulty(store.schedule(batch)),
          claim: (request) => faulty(store.claim(request)),
          release: (batch) => faulty(store.release(batch)),
          start: (sessionId, batch) => faulty(store.start(sessionId, batch)),
          finish: (batch) => faulty(store.finish(batch)),
          // A fault that its effect asks for hits the commit: the transaction is lost, or only its answer.
          finishWith: (effect, request) =>
            faulty(
              store.finishWith(
                Effect.tap(effect, () => (taken("before") ? Effect.fail(lost(false)) : Effect.void)),
                request
              )
            ).pipe(Effect.tap(() => (taken("after") ? Effect.fail(lost(true)) : Effect.void))),
          claimedBy: (sessionId, dueBeforeMs, limit) => faulty(store.claimedBy(sessionId, dueBeforeMs, limit)),
          expire: (limit, asOfMs) => faulty(store.expire(limit, asOfMs)),
          startDue: (request) => faulty(store.startDue(request)),
          startedWith: (eventIds) => faulty(store.startedWith(eventIds)),
          pull: (request) => faulty(store.pull(request)),
          pause: (target, isPaused) => faulty(store.pause(target, isPaused)),
          relayDead: (limit, announce) => faulty(store.relayDead(limit, announce)),
          takeParked: (request) => faulty(store.takeParked(request)),
          reconcile: (request) => faulty(store.reconcile(request)),
          act: (taskId, eventId, wish) => faulty(store.act(taskId, eventId, wish))
        })
      ).pipe(
        Context.add(Session, yield* Session),
        Context.add(
          RecurrenceStore,
          RecurrenceStore.of({
            ...recurrences,
            create: (name, definition) => faulty(recurrences.create(name, definition)),
            revise: (name, change, repeatOf) => faulty(recurrences.revise(name, change, repeatOf)),
            settle: (limit) => faulty(recurrences.settle(limit))
          })
        ),
        Context.add(
          StoreControl,
          StoreControl.of({
            killSession: (sessionId) =>
              Effect.orDie(
                sql`UPDATE duetime.session SET lease_until = clock_timestamp() - interval '1 ms' WHERE session_id = ${sessionId}`
              ),
            leaveSession: (sessionId) =>
              Effect.orDie(
                sql`UPDATE duetime.session SET ended_at = clock_timestamp() WHERE session_id = ${sessionId}`
              ),
            hastenAsk: (taskId) =>
              Effect.orDie(
                sql`UPDATE duetime.parked SET ask_at = clock_timestamp() WHERE task_id = ${taskId}::uuid AND ask_at IS NOT NULL`
              ),
            secondSession: Effect.orDie(
              Effect.map(
                sql<{ readonly session_id: number }>`INSERT INTO duetime.session (lease_until, process)
                  VALUES (clock_timestamp() + interval '1 hour', 'second') RETURNING session_id`,
                (rows) => rows[0]?.session_id ?? 0
              )
            ),
            failNext: (next) =>
              Effect.sync(() => {
                fault = next
              }),
            auditRows: Effect.orDie(auditRows).pipe(Effect.provideService(PgClient.PgClient, sql))
          })
        )
      )
    })
  ).pipe(Layer.provideMerge(pgStore(server)))
