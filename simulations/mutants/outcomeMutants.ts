/** Outcomes, transactions, repairs and retries that are not what they should be. */
import { Effect } from "effect"
import type { KindPolicy } from "../../src/core/KindPolicy.ts"
import type { EventBody } from "../../src/core/TaskEvent.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { Mutant } from "./Mutant.ts"

/** Every event passes on its way into its stream. */
const whenAppended = (
  database: MemoryDatabase,
  change: (body: EventBody, atMs: number, before: TaskState | null) => EventBody
) => {
  const { streams } = database
  const append = streams.append.bind(streams)
  streams.append = (taskId, body, eventId, atMs) =>
    append(taskId, change(body, atMs, streams.stateOf(taskId)), eventId, atMs)
}

/** Repairs and failures are decided by another policy than the kind's. */
const withPolicy =
  (change: (policy: KindPolicy) => KindPolicy): Mutant["breakage"] =>
  () => ({
    database: (database) => {
      const finish = database.finish.bind(database)
      const policyOf = database.sessions.policyOf.bind(database.sessions)
      database.finish = (request) => finish({ ...request, policy: change(request.policy) })
      database.sessions.policyOf = (kind) => change(policyOf(kind))
    }
  })

const withAttempts = (more: number) =>
  withPolicy((policy) => ({
    ...policy,
    retry: { ...policy.retry, attemptsMax: policy.retry.attemptsMax + more }
  }))

export const outcomeMutants: ReadonlyArray<Mutant> = [
  {
    name: "finish-without-fence",
    what: "an outcome is recorded of whatever attempt runs now",
    breakage: () => ({
      database: (database) => {
        const finish = database.finish.bind(database)
        database.finish = (request) => {
          const fence = database.streams.stateOf(request.started.taskId)?.fence ?? request.started.fence
          return finish({ ...request, started: { ...request.started, fence } })
        }
      }
    })
  },
  {
    name: "finish-forgotten",
    what: "an outcome is answered as recorded and is not",
    breakage: () => ({
      database: (database) => {
        const finish = database.finish.bind(database)
        let count = 0
        database.finish = (request) => (++count % 5 === 0 ? { _tag: "Recorded", stage: "succeeded" } : finish(request))
      }
    })
  },
  {
    name: "commit-without-rollback",
    what: "what was written in a transaction stays, though its attempt had lost its lease",
    breakage: () => ({
      database: (database) => {
        const commit = database.commit.bind(database)
        database.commit = (transaction, request) => {
          const answer = commit(transaction, request)
          if (answer === "Lost") database.schedule(transaction.tasks, null)
          return answer
        }
      }
    })
  },
  {
    name: "commit-repeated",
    what: "a commit that is sent again after a lost answer writes again",
    breakage: () => ({
      database: (database) => {
        const commit = database.commit.bind(database)
        database.commit = (transaction, request) => {
          const isRepeat = database.streams.eventOf(request.started.taskId, request.eventId) !== null
          if (isRepeat) database.schedule(transaction.tasks, null)
          return commit(transaction, request)
        }
      }
    })
  },
  {
    name: "commit-ignores-event-id",
    what: "a commit that is sent again after a lost answer is told that it has lost its lease",
    breakage: () => ({
      database: (database) => {
        const commit = database.commit.bind(database)
        database.commit = (transaction, request) =>
          database.streams.eventOf(request.started.taskId, request.eventId) === null
            ? commit(transaction, request)
            : "Lost"
      }
    })
  },
  {
    name: "commit-half",
    what: "a success is recorded without what its transaction wrote",
    breakage: () => ({
      database: (database) => {
        const commit = database.commit.bind(database)
        database.commit = (transaction, request) => {
          transaction.tasks.length = 0
          return commit(transaction, request)
        }
      }
    })
  },
  {
    name: "expire-the-living",
    what: "a session is held to be lost two seconds before its lease ends",
    breakage: () => ({
      database: (database) => {
        const { sessions } = database
        const isAlive = sessions.isAlive.bind(sessions)
        const expire = database.expire.bind(database)
        const anyExpired = database.anyExpired.bind(database)
        const early = <A>(look: () => A): A => {
          sessions.isAlive = (sessionId, atMs) => isAlive(sessionId, atMs + 4_500)
          const answer = look()
          sessions.isAlive = isAlive
          return answer
        }
        database.expire = (limit, eventId, asOfMs) => early(() => expire(limit, eventId, asOfMs))
        database.anyExpired = () => early(anyExpired)
      }
    })
  },
  {
    name: "expire-nothing",
    what: "nobody repairs what dead processes held",
    breakage: () => ({ store: (store) => ({ ...store, expire: () => Effect.succeed([]) }) })
  },
  {
    name: "expire-slowly",
    what: "a supervisor repairs once in twenty seconds",
    breakage: () => ({
      database: (database) => {
        const expire = database.expire.bind(database)
        let nextAtMs = database.now()
        database.expire = (limit, eventId, asOfMs) => {
          if (database.now() < nextAtMs) return []
          nextAtMs = database.now() + 20_000
          return expire(limit, eventId, asOfMs)
        }
      }
    })
  },
  {
    name: "deadline-ignored",
    what: "an attempt past its deadline is left running",
    breakage: () => ({
      database: (database) => {
        database.streams.overdue = () => []
      }
    })
  },
  {
    name: "deadline-1s-early",
    what: "an attempt is ended a second before its deadline",
    breakage: () => ({
      database: (database) => {
        const { streams } = database
        const overdue = streams.overdue.bind(streams)
        streams.overdue = (atMs, limit, isOfKind) => overdue(atMs + 1_000, limit, isOfKind)
      }
    })
  },
  {
    name: "park-ignored",
    what: "an interrupted attempt of a kind that parks is tried again without asking",
    breakage: withPolicy((policy) => ({ ...policy, onInterrupted: "retry" }))
  },
  {
    name: "quarantine-ignored",
    what: "a task that kills its workers is tried again after its last death",
    breakage: withPolicy((policy) => ({ ...policy, deathsMax: 1_000 }))
  },
  { name: "one-attempt-more", what: "one attempt more than the policy allows", breakage: withAttempts(1) },
  { name: "one-attempt-less", what: "one attempt less than the policy allows", breakage: withAttempts(-1) },
  {
    name: "retry-late",
    what: "a retry waits five seconds longer than its ceiling",
    breakage: () => ({
      database: (database) =>
        whenAppended(database, (body) =>
          body._tag === "AttemptFailed" ? { ...body, dueAtMs: body.dueAtMs + 5_000 } : body
        )
    })
  },
  {
    name: "retry-in-the-past",
    what: "a retry is due before its attempt has failed",
    breakage: () => ({
      database: (database) =>
        whenAppended(database, (body, atMs) => (body._tag === "AttemptFailed" ? { ...body, dueAtMs: atMs - 1 } : body))
    })
  },
  {
    name: "attempt-number-reused",
    what: "an attempt after an interruption has the number of the one before",
    breakage: () => ({
      database: (database) =>
        whenAppended(database, (body, _, before) =>
          body._tag === "AttemptStarted" && before !== null && before.deaths > 0
            ? { ...body, attempt: before.attempt }
            : body
        )
    })
  },
  {
    name: "dead-letters-untold",
    what: "a dead letter is marked as announced and was not",
    breakage: () => ({
      store: (store) => ({ ...store, relayDead: (limit) => store.relayDead(limit, () => Effect.void) })
    })
  }
]
