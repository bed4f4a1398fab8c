/** Answers that come before or after their time, engines that are left out, and backlogs that do not drain. */
import { Effect } from "effect"
import type { ClaimedTask } from "../../src/store/TaskStore.ts"
import { world } from "../../src/testing/simulation/Kernel.ts"
import type { Mutant } from "./Mutant.ts"

export const orderMutants: ReadonlyArray<Mutant> = [
  {
    name: "wish-done-later",
    what: "a change of priority is answered at once and done half a second later",
    breakage: () => ({
      database: (database, kernel) => {
        const act = database.act.bind(database)
        database.act = (taskId, eventId, wish) => {
          const state = database.streams.stateOf(taskId)
          if (wish._tag !== "Reprioritise" || state?.stage !== "pending") return act(taskId, eventId, wish)
          kernel.after(world, 500, () => act(taskId, eventId, wish))
          const { priority } = wish
          return { _tag: "Done", state: { ...state, priority, eventId, version: state.version + 1 } }
        }
      }
    })
  },
  {
    name: "claims-read-stale",
    what: "an engine that looks at its claims is shown those of up to two seconds ago",
    breakage: () => ({
      database: (database) => {
        const claimedBy = database.claimedBy.bind(database)
        const seen = new Map<number, { readonly atMs: number; readonly tasks: ReadonlyArray<ClaimedTask> }>()
        database.claimedBy = (sessionId, dueBeforeMs, limit) => {
          const known = seen.get(sessionId)
          if (known !== undefined && database.now() - known.atMs < 2_000) return known.tasks
          const tasks = claimedBy(sessionId, dueBeforeMs, limit)
          seen.set(sessionId, { atMs: database.now(), tasks })
          return tasks
        }
      }
    })
  },
  {
    name: "conflict-invented",
    what: "one start in five is refused though nothing has happened to its claim",
    breakage: () => ({
      database: (database) => {
        const start = database.start.bind(database)
        let count = 0
        database.start = (sessionId, request) => (++count % 5 === 0 ? { _tag: "Lost" } : start(sessionId, request))
      }
    })
  },
  {
    name: "claims-of-the-first",
    what: "as long as one engine lives, the others are given nothing",
    breakage: () => ({
      database: (database) => {
        const claim = database.claim.bind(database)
        let firstId: number | null = null
        database.claim = (request, eventId) => {
          if (firstId === null || !database.sessions.isAlive(firstId, database.now())) firstId = request.sessionId
          return firstId === request.sessionId
            ? claim(request, eventId)
            : { tasks: [], nextDueAtMs: null, cappedForMs: null }
        }
      }
    })
  },
  {
    name: "asks-seldom",
    what: "one claim in ten of an engine takes eight seconds",
    breakage: () => ({
      ownStore: (store) => {
        let count = 0
        return {
          ...store,
          claim: (request) =>
            Effect.suspend(() =>
              ++count % 10 === 0 ? Effect.delay(store.claim(request), 8_000) : store.claim(request)
            )
        }
      }
    })
  },
  {
    name: "gives-back",
    what: "one claim in four gives back the first task that it has just taken",
    breakage: () => ({
      database: (database) => {
        const claim = database.claim.bind(database)
        let count = 0
        database.claim = (request, eventId) => {
          const claimed = claim(request, eventId)
          const [first, ...others] = claimed.tasks
          if (first === undefined || request.caps !== undefined || ++count % 4 !== 0) return claimed
          const body = { _tag: "ClaimReleased", reason: "drained" } as const
          database.streams.append(first.taskId, body, eventId(), database.now())
          return { ...claimed, tasks: others }
        }
      }
    })
  },
  {
    name: "drains-in-bursts",
    what: "nothing is claimed but in the first second of every twenty",
    breakage: () => ({
      database: (database) => {
        const claim = database.claim.bind(database)
        database.claim = (request, eventId) =>
          database.now() % 20_000 < 1_000
            ? claim(request, eventId)
            : { tasks: [], nextDueAtMs: null, cappedForMs: null }
      }
    })
  }
]
