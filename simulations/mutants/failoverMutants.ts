/** Fences that are numbers alone, standbys that keep halves, and clocks that are believed. */
import { Effect } from "effect"
import type { TaskId } from "../../src/core/TaskId.ts"
import type { Fence } from "../../src/core/TaskState.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import { receipt } from "../world/handlers.ts"
import type { Mutant } from "./Mutant.ts"

/** The fence that is there now, if it has the number that was asked for. */
const byNumber = (database: MemoryDatabase, taskId: TaskId, asked: Fence): Fence => {
  const now = database.streams.stateOf(taskId)?.fence ?? asked
  return now.version === asked.version ? now : asked
}

export const failoverMutants: ReadonlyArray<Mutant> = [
  {
    name: "start-fence-is-a-number",
    what: "a start looks at the number of its claim alone, which a failover may issue twice",
    breakage: () => ({
      database: (database) => {
        const start = database.start.bind(database)
        database.start = (sessionId, request) =>
          start(sessionId, { ...request, fence: byNumber(database, request.taskId, request.fence) })
      }
    })
  },
  {
    name: "outcome-fence-is-a-number",
    what: "an outcome looks at the number of its start alone, which a failover may issue twice",
    breakage: () => ({
      database: (database) => {
        const finish = database.finish.bind(database)
        database.finish = (request) => {
          const { started } = request
          return finish({
            ...request,
            started: { ...started, fence: byNumber(database, started.taskId, started.fence) }
          })
        }
      }
    })
  },
  {
    name: "failover-keeps-effects",
    what: "what a transaction wrote outlives a failover that has lost its outcome",
    breakage: () => {
      const written: Array<Parameters<MemoryDatabase["schedule"]>[0][number]> = []
      let hasRun = false
      return {
        database: (database) => {
          // The second database of a history is the standby that takes over.
          const isStandby = hasRun
          hasRun = true
          if (isStandby) {
            const open = database.sessions.open.bind(database.sessions)
            database.sessions.open = (leaseUntilMs) => {
              // The sequence is moved on as soon as everything else has been done again.
              if (leaseUntilMs === 0) database.schedule(written.splice(0), null)
              return open(leaseUntilMs)
            }
            return
          }
          const commit = database.commit.bind(database)
          database.commit = (transaction, request) => {
            const answer = commit(transaction, request)
            if (answer === "Committed") written.push(...transaction.tasks.filter(({ kind }) => kind === receipt.kind))
            return answer
          }
        }
      }
    }
  },
  {
    name: "step-unseen",
    what: "a supervisor does not see that the database's clock was set, and believes that all leases have ended",
    breakage: () => ({
      ownStore: (store) => {
        let aheadMs: number | null = null
        return {
          ...store,
          look: Effect.flatMap(store.look, (look) =>
            Effect.clockWith((clock) =>
              Effect.sync(() => {
                const monotonicMs = Number(clock.monotonicTimeNanosUnsafe()) / 1e6
                aheadMs ??= look.databaseMs - monotonicMs
                return { ...look, databaseMs: monotonicMs + aheadMs }
              })
            )
          )
        }
      }
    })
  },
  {
    name: "estimate-by-wall-clock",
    what: "a node's estimate of the database's time moves with its own clock",
    breakage: () => ({
      ownStore: (store) => {
        const offsetMs = store.clockOffsetMs()
        return { ...store, clockOffsetMs: () => offsetMs }
      }
    })
  }
]
