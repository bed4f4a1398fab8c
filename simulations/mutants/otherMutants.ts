/** Scheduling, wishes, sessions, projections and what is told to others. */
import { Effect } from "effect"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { StoredStream, Wish } from "../../src/store/TaskStore.ts"
import { secret } from "../world/handlers.ts"
import type { Mutant } from "./Mutant.ts"

const whenPaged = (database: MemoryDatabase, change: (stream: StoredStream) => StoredStream) => {
  const { streams } = database
  const page = streams.page.bind(streams)
  streams.page = (after, limit) => page(after, limit).map(change)
}

/** Answers as if it had been done. */
const forgetsWish =
  (tag: Wish["_tag"]): Mutant["breakage"] =>
  () => ({
    database: (database) => {
      const act = database.act.bind(database)
      database.act = (taskId, eventId, wish) => {
        const state = database.streams.stateOf(taskId)
        if (wish._tag !== tag || state === null) return act(taskId, eventId, wish)
        return { _tag: "Done", state: { ...state, stage: tag === "Cancel" ? "cancelled" : "pending" } }
      }
    }
  })

export const otherMutants: ReadonlyArray<Mutant> = [
  {
    name: "keys-ignored",
    what: "one key may have several tasks",
    breakage: () => ({
      store: (store) => ({
        ...store,
        schedule: (batch) => store.schedule(batch.map((task) => ({ ...task, key: null })))
      })
    })
  },
  {
    name: "schedule-forgotten",
    what: "one task in ten is acknowledged and not stored",
    breakage: () => ({
      database: (database) => {
        const schedule = database.schedule.bind(database)
        let count = 0
        database.schedule = (batch, transaction) =>
          ++count % 10 === 0 ? batch.map(({ taskId }) => ({ _tag: "Created", taskId })) : schedule(batch, transaction)
      }
    })
  },
  { name: "cancel-forgotten", what: "a cancel is answered and not done", breakage: forgetsWish("Cancel") },
  { name: "redrive-forgotten", what: "a redrive is answered and not done", breakage: forgetsWish("Redrive") },
  {
    name: "cancel-while-running",
    what: "a cancel ends a task whose attempt is running",
    breakage: () => ({
      database: (database) => {
        const { streams } = database
        const append = streams.append.bind(streams)
        streams.append = (taskId, body, eventId, atMs) =>
          append(
            taskId,
            body._tag === "CancelRequested" ? { _tag: "TaskCancelled", reason: body.reason } : body,
            eventId,
            atMs
          )
      }
    })
  },
  {
    name: "lease-unchecked",
    what: "a worker does not look at its own lease before it calls a handler",
    breakage: () => ({ session: (session) => ({ ...session, isAlive: () => true }) })
  },
  {
    name: "renewal-after-the-end",
    what: "a session that was ended is told that it was renewed",
    breakage: () => ({
      database: ({ sessions }) => {
        const renew = sessions.renew.bind(sessions)
        sessions.renew = (sessionId, leaseUntilMs) => {
          renew(sessionId, leaseUntilMs)
          return true
        }
      }
    })
  },
  {
    name: "projection-behind",
    what: "a failed attempt is appended without the row that says so",
    breakage: () => ({
      database: (database) =>
        whenPaged(database, (stream) => ({
          ...stream,
          projections: stream.projections.map((row) => ({ ...row, version: row.version - 1 }))
        }))
    })
  },
  {
    name: "projection-left",
    what: "a task that is over leaves its row behind",
    breakage: () => ({
      database: (database) =>
        whenPaged(database, (stream) => {
          const born = stream.events[0]
          if (born?._tag !== "TaskScheduled" || stream.projections.length > 0) return stream
          const { dueAtMs, kind, priority } = born
          const row = { stage: "running", kind, priority, dueAtMs, version: 3, attempt: 1, charged: 1 } as const
          return { ...stream, projections: [row] }
        })
    })
  },
  {
    name: "event-lost",
    what: "the store has lost an event in the middle of a stream",
    breakage: () => ({
      database: (database) =>
        whenPaged(database, (stream) => ({
          ...stream,
          events: stream.events.filter(({ version }) => version !== 2 || stream.events.length < 5)
        }))
    })
  },
  {
    name: "dispatch-with-payload",
    what: "a dispatch carries what only the payload should",
    breakage: () => ({
      broker: (broker) => ({
        ...broker,
        publish: (batch) => broker.publish(batch.map((dispatch) => ({ ...dispatch, traceparent: secret })))
      })
    })
  },
  {
    name: "payload-logged",
    what: "a worker logs what it was given",
    breakage: () => ({
      ownStore: (store) => ({
        ...store,
        start: (sessionId, batch) =>
          Effect.tap(store.start(sessionId, batch), (answers) => Effect.logInfo(`started ${JSON.stringify(answers)}`))
      })
    })
  }
]
