/** Direct starts (ADR 6) that are not checked as they should be, and renewals that are not what they say. */
import { Effect } from "effect"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { Mutant } from "./Mutant.ts"
import { startingAhead } from "./startMutants.ts"

/** While what is due is started directly, some of what it looks at is not what it is. */
const whileStartingDue = (database: MemoryDatabase, change: () => () => void) => {
  const startDue = database.startDue.bind(database)
  database.startDue = (request, claimId) => {
    const undo = change()
    const answer = startDue(request, claimId)
    undo()
    return answer
  }
}

export const directMutants: ReadonlyArray<Mutant> = [
  {
    name: "direct-start-of-running",
    what: "a direct start takes what is running already, whatever its version",
    breakage: () => ({
      database: (database) => {
        const { streams } = database
        const startDue = database.startDue.bind(database)
        database.startDue = (request, claimId) => {
          const [eventId] = request.eventIds
          const running = streams.inProgress().find(({ stage }) => stage === "running")
          if (running === undefined || eventId === undefined) return startDue(request, claimId)
          const { attempt, kind, taskId } = running
          const timeoutMs = request.kinds.find((one) => one.kind === kind)?.timeoutMs ?? 5_000
          const atMs = database.now()
          const body = {
            _tag: "AttemptStarted",
            attempt: attempt + 1,
            sessionId: request.sessionId,
            deadlineAtMs: atMs + timeoutMs,
            dispatchedAtMs: null
          } as const
          streams.append(taskId, body, eventId, atMs)
          return database.startedWith([eventId])
        }
      }
    })
  },
  {
    name: "direct-start-early",
    what: "a direct start takes what is due in a second, too",
    breakage: () => ({
      database: (database) => startingAhead(database, 1_000, whileStartingDue)
    })
  },
  {
    name: "direct-start-without-lease",
    what: "a direct start does not look whether the session still has its lease",
    breakage: () => ({
      database: (database) => {
        const { sessions } = database
        const isAlive = sessions.isAlive.bind(sessions)
        whileStartingDue(database, () => {
          sessions.isAlive = () => true
          return () => {
            sessions.isAlive = isAlive
          }
        })
      }
    })
  },
  {
    name: "direct-start-unsought",
    what: "nobody looks for what a direct start has started whose answer was lost",
    breakage: () => ({ ownStore: (store) => ({ ...store, startedWith: () => Effect.succeed([]) }) })
  },
  {
    name: "direct-start-repeated",
    what: "a direct start whose answer was lost is sent again, as if it named its tasks",
    breakage: () => ({
      ownStore: (store) => ({
        ...store,
        startDue: (request) => Effect.retry(store.startDue(request), { times: 3 })
      })
    })
  },
  {
    name: "renewal-unwritten",
    what: "every renewal but one in five is answered and not written",
    breakage: () => ({
      database: ({ sessions }) => {
        const renew = sessions.renew.bind(sessions)
        let count = 0
        sessions.renew = (sessionId, leaseUntilMs) => (++count % 5 === 0 ? renew(sessionId, leaseUntilMs) : true)
      }
    })
  },
  {
    name: "renewal-backwards",
    what: "a renewal that comes twice or late leaves half a second of the lease",
    breakage: () => ({
      database: (database) => {
        const { sessions } = database
        const renew = sessions.renew.bind(sessions)
        const renewedAtMs = new Map<number, number>()
        sessions.renew = (sessionId, leaseUntilMs) => {
          const atMs = database.now()
          const sinceMs = atMs - (renewedAtMs.get(sessionId) ?? atMs - 1_250)
          renewedAtMs.set(sessionId, atMs)
          return renew(sessionId, sinceMs > 1_000 && sinceMs < 1_500 ? leaseUntilMs : atMs + 500)
        }
      }
    })
  }
]
