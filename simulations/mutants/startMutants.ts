/** Claims and starts that are not checked as they should be. */
import { Effect } from "effect"
import { priorities } from "../../src/core/Priority.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { ClaimedTask, Started, StartRequest } from "../../src/store/TaskStore.ts"
import type { Mutant } from "./Mutant.ts"

/** What `whileDone` surrounds sees a clock that is ahead; events keep their true instants. */
export const startingAhead = (
  database: MemoryDatabase,
  byMs: number,
  whileDone: (database: MemoryDatabase, change: () => () => void) => void
) => {
  const now = database.now.bind(database)
  const append = database.streams.append.bind(database.streams)
  let aheadMs = 0
  database.now = () => now() + aheadMs
  database.streams.append = (taskId, body, eventId, atMs) => append(taskId, body, eventId, atMs - aheadMs)
  whileDone(database, () => {
    aheadMs = byMs
    return () => {
      aheadMs = 0
    }
  })
}

/** While a start is decided, some of what it looks at is not what it is. */
const whileStarting = (database: MemoryDatabase, change: () => () => void) => {
  const start = database.start.bind(database)
  database.start = (sessionId: number, request: StartRequest) => {
    const undo = change()
    const answer = start(sessionId, request)
    undo()
    return answer
  }
}

export const startMutants: ReadonlyArray<Mutant> = [
  {
    name: "start-without-fence",
    what: "a start takes the claim that is there now, whichever it was asked for",
    breakage: () => ({
      database: (database) => {
        const start = database.start.bind(database)
        database.start = (sessionId, request) =>
          start(sessionId, { ...request, fence: database.streams.stateOf(request.taskId)?.fence ?? request.fence })
      }
    })
  },
  {
    name: "start-won-twice",
    what: "who asks for a start that another has won is given it, too",
    breakage: () => {
      const won = new Map<string, Started>()
      return {
        database: (database) => {
          const start = database.start.bind(database)
          database.start = (sessionId, request) => {
            const answer = start(sessionId, request)
            if (answer._tag === "Started") won.set(request.fence.eventId, answer)
            return answer._tag === "Lost" ? (won.get(request.fence.eventId) ?? answer) : answer
          }
        }
      }
    }
  },
  {
    name: "start-1ms-early",
    what: "a start is allowed a millisecond before the task is due",
    breakage: () => ({
      database: (database) => startingAhead(database, 1, whileStarting)
    })
  },
  {
    name: "start-after-expiry",
    what: "a start does not look whether the task has expired",
    breakage: () => ({
      database: (database) => {
        const { streams } = database
        const stateOf = streams.stateOf.bind(streams)
        whileStarting(database, () => {
          streams.stateOf = (taskId) => {
            const state = stateOf(taskId)
            return state === null ? null : { ...state, expiresAtMs: null }
          }
          return () => {
            streams.stateOf = stateOf
          }
        })
      }
    })
  },
  {
    name: "start-without-lease",
    what: "a start does not look whether the session still has its lease",
    breakage: () => ({
      database: (database) => {
        const { sessions } = database
        const isAlive = sessions.isAlive.bind(sessions)
        whileStarting(database, () => {
          sessions.isAlive = () => true
          return () => {
            sessions.isAlive = isAlive
          }
        })
      }
    })
  },
  {
    name: "start-of-paused",
    what: "a start does not look whether the kind is paused",
    breakage: () => ({
      database: (database) => {
        const { sessions } = database
        const isPaused = sessions.isPaused.bind(sessions)
        whileStarting(database, () => {
          sessions.isPaused = () => false
          return () => {
            sessions.isPaused = isPaused
          }
        })
      }
    })
  },
  {
    name: "start-with-old-fence",
    what: "a start answers with the version of its claim instead of its own",
    breakage: () => ({
      database: (database) => {
        const start = database.start.bind(database)
        database.start = (sessionId, request) => {
          const answer = start(sessionId, request)
          return answer._tag === "Started" ? { ...answer, fence: request.fence } : answer
        }
      }
    })
  },
  {
    name: "claim-of-paused",
    what: "a claim does not look whether the kind is paused",
    breakage: () => ({
      database: (database) => {
        const { sessions } = database
        const isPaused = sessions.isPaused.bind(sessions)
        const claim = database.claim.bind(database)
        database.claim = (request, eventId) => {
          sessions.isPaused = () => false
          const claimed = claim(request, eventId)
          sessions.isPaused = isPaused
          return claimed
        }
      }
    })
  },
  {
    name: "claim-over-claim",
    what: "a claim takes what another session has claimed, too",
    breakage: () => ({
      database: (database) => {
        const claim = database.claim.bind(database)
        database.claim = (request, eventId) => {
          const held = database.streams
            .inProgress()
            .find(({ sessionId, stage }) => stage === "claimed" && sessionId !== request.sessionId)
          if (held === undefined) return claim(request, eventId)
          const body = { _tag: "TaskClaimed", sessionId: request.sessionId } as const
          database.streams.append(held.taskId, body, eventId(), database.now())
          return claim(request, eventId)
        }
      }
    })
  },
  {
    name: "claim-least-urgent-first",
    what: "the order of priorities is upside down",
    breakage: () => ({
      database: (database) => {
        const claim = database.claim.bind(database)
        database.claim = (request, eventId) => {
          if (request.caps !== undefined) return claim(request, eventId)
          const tasks: Array<ClaimedTask> = []
          let nextDueAtMs: number | null = null
          for (const priority of (request.priorities ?? priorities).toReversed()) {
            const limit = request.limit - tasks.length
            if (limit === 0) break
            const claimed = claim({ ...request, priorities: [priority], limit }, eventId)
            tasks.push(...claimed.tasks)
            nextDueAtMs = claimed.nextDueAtMs ?? nextDueAtMs
          }
          return { tasks, nextDueAtMs, cappedForMs: null }
        }
      }
    })
  },
  {
    name: "claim-without-caps",
    what: "a kind's cap of what is in progress is not looked at",
    breakage: () => ({
      store: (store) => ({
        ...store,
        claim: ({ caps, ...request }) =>
          store.claim(caps === undefined ? request : { ...request, caps: { ...caps, concurrencyMax: null } })
      })
    })
  },
  {
    name: "claim-without-pace",
    what: "a kind's claims per second are not counted",
    breakage: () => ({
      store: (store) => ({
        ...store,
        claim: ({ caps, ...request }) =>
          store.claim(caps === undefined ? request : { ...request, caps: { ...caps, startsPerSecondMax: null } })
      })
    })
  },
  {
    name: "claim-late",
    what: "nothing is claimed before it has been due for three seconds",
    breakage: () => ({
      store: (store) => ({ ...store, claim: (request) => store.claim({ ...request, lookAheadMs: -3_000 }) })
    })
  },
  {
    name: "hints-only",
    what: "a lost dispatch is neither published again nor pulled",
    breakage: () => ({
      ownStore: (store) => ({
        ...store,
        claimedBy: () => Effect.succeed([]),
        pull: () => Effect.succeed([])
      })
    })
  }
]
