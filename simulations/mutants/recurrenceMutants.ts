/** Instants that are lost, doubled, decided too late or against their policies; changes that do not stand. */
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { Revised } from "../../src/store/RecurrenceStore.ts"
import type { NewTask } from "../../src/store/TaskStore.ts"
import { kinds } from "../world/handlers.ts"
import type { Mutant } from "./Mutant.ts"

/** What a decision schedules passes on its way. */
const whenScheduled = (database: MemoryDatabase, change: (task: NewTask) => ReadonlyArray<NewTask>) => {
  const schedule = database.schedule.bind(database)
  database.schedule = (batch, transaction) =>
    batch.every(({ kind }) => kind === kinds.tick.kind)
      ? schedule(batch.flatMap(change), transaction)
      : schedule(batch, transaction)
}

/** While instants are decided, some of what is looked at is not what it is. */
const whileSettling = (database: MemoryDatabase, change: () => () => void) => {
  const { recurrences } = database
  const settle = recurrences.settle.bind(recurrences)
  recurrences.settle = (limit, eventId) => {
    const undo = change()
    const answer = settle(limit, eventId)
    undo()
    return answer
  }
}

const whenRevised = (
  database: MemoryDatabase,
  change: (revise: MemoryDatabase["recurrences"]["revise"]) => MemoryDatabase["recurrences"]["revise"]
) => {
  const { recurrences } = database
  recurrences.revise = change(recurrences.revise.bind(recurrences))
}

export const recurrenceMutants: ReadonlyArray<Mutant> = [
  {
    name: "instant-without-task",
    what: "one instant in three is written down as fired, and its task is not scheduled",
    breakage: () => ({
      database: (database) => {
        let count = 0
        whenScheduled(database, (task) => (++count % 3 === 0 ? [] : [task]))
      }
    })
  },
  {
    name: "instant-twice",
    what: "one instant in three has two tasks",
    breakage: () => ({
      database: (database) => {
        let count = 0
        whenScheduled(database, (task) => {
          if (++count % 3 > 0) return [task]
          const last = task.taskId.at(-1) === "0" ? "1" : "0"
          return [task, { ...task, taskId: `${task.taskId.slice(0, -1)}${last}` }]
        })
      }
    })
  },
  {
    name: "instant-before-time",
    what: "the task of an instant is due a second before it",
    breakage: () => ({
      database: (database) => whenScheduled(database, (task) => [{ ...task, dueAtMs: task.dueAtMs - 1_000 }])
    })
  },
  {
    name: "instant-forgotten",
    what: "the ledger loses every fourth line",
    breakage: () => ({
      database: ({ recurrences }) => {
        const ledger = recurrences.ledger.bind(recurrences)
        recurrences.ledger = (recurrenceId) => ledger(recurrenceId).filter((_, index) => index % 4 !== 3)
      }
    })
  },
  {
    name: "decided-late",
    what: "engines decide about instants once in four seconds, after them",
    breakage: () => ({
      database: (database) => {
        const { recurrences } = database
        const settle = recurrences.settle.bind(recurrences)
        let nextAtMs = 0
        recurrences.settle = (limit, eventId) => {
          if (database.now() < nextAtMs) return { recurrencesCount: 0, tasksCount: 0, nextInMs: 500 }
          nextAtMs = database.now() + 4_000
          const now = database.now.bind(database)
          database.now = () => now() - 15_000
          const answer = settle(limit, eventId)
          database.now = now
          return { ...answer, nextInMs: 500 }
        }
      }
    })
  },
  {
    name: "overlap-ignored",
    what: "an instant fires beside the task of the one before it, whatever the policy",
    breakage: () => ({
      database: (database) => {
        const { streams } = database
        const stateOf = streams.stateOf.bind(streams)
        whileSettling(database, () => {
          streams.stateOf = () => null
          return () => {
            streams.stateOf = stateOf
          }
        })
      }
    })
  },
  {
    name: "recurrence-pause-forgotten",
    what: "a pause of a recurrence is answered and not done",
    breakage: () => ({
      database: (database) => {
        const { recurrences } = database
        whenRevised(database, (revise) => (name, change, eventId, repeatOf) => {
          const recurrence = recurrences.find(name)
          if (change._tag !== "Pause" || recurrence === null) return revise(name, change, eventId, repeatOf)
          return { _tag: "Changed", recurrence: { ...recurrence, pausedAtMs: database.now() } } satisfies Revised
        })
      }
    })
  },
  {
    name: "edit-forgotten",
    what: "an edit of a recurrence is answered and not done",
    breakage: () => ({
      database: (database) => {
        const { recurrences } = database
        whenRevised(database, (revise) => (name, change, eventId, repeatOf) => {
          const recurrence = recurrences.find(name)
          if (change._tag !== "Edit" || recurrence === null) return revise(name, change, eventId, repeatOf)
          return { _tag: "Changed", recurrence: { ...recurrence, ...change.definition } } satisfies Revised
        })
      }
    })
  },
  {
    name: "edit-leaves-tasks",
    what: "an edit takes back no task of what was decided ahead",
    breakage: () => ({
      database: (database) => {
        const act = database.act.bind(database)
        database.act = (taskId, eventId, wish) =>
          wish._tag === "Cancel" && wish.reason?.startsWith("its recurrence was changed") === true
            ? null
            : act(taskId, eventId, wish)
      }
    })
  },
  {
    name: "fold-once",
    what: "a time of day that comes twice fires the first time only, whatever the policy",
    breakage: () => ({
      database: ({ recurrences }) => {
        const create = recurrences.create.bind(recurrences)
        recurrences.create = (name, definition) =>
          create(
            name,
            definition.rule._tag === "Cron"
              ? { ...definition, rule: { ...definition.rule, fold: "first" } }
              : definition
          )
      }
    })
  },
  {
    name: "calendar-forgotten",
    what: "a rule that is edited keeps none of its calendar, and fires on closed time",
    breakage: () => ({
      database: (database) =>
        whenRevised(database, (revise) => (name, change, ...rest) => {
          if (change._tag !== "Edit") return revise(name, change, ...rest)
          const { open: _, ...rule } = change.definition.rule
          return revise(name, { ...change, definition: { ...change.definition, rule } }, ...rest)
        })
    })
  }
]
