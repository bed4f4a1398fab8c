import { Context } from "effect"
import type { NewTask, Scheduled } from "../TaskStore.ts"
import { Keys } from "./Keys.ts"

/** Tasks scheduled inside `finishWith`, unseen by anybody until its outcome is recorded, and gone if it is not. */
export class MemoryTransaction {
  readonly tasks: Array<NewTask> = []
  /** What else becomes true with its commit: rows of a simulated application. Run once, in the step that commits. */
  readonly effects: Array<() => void> = []
  readonly #byId = new Map<string, NewTask>()
  readonly #keys = new Keys(() => false)

  answerOf(task: NewTask): Scheduled | null {
    const same = this.#byId.get(task.taskId)
    if (same === undefined) return this.#keys.answerOf(task)
    return { _tag: same.eventId === task.eventId ? "Created" : "Existing", taskId: task.taskId }
  }

  add(task: NewTask): void {
    this.tasks.push(task)
    this.#byId.set(task.taskId, task)
    this.#keys.add(task)
  }
}

/** The transaction that the current fiber schedules in, if any. */
export const CurrentTransaction = Context.Reference<MemoryTransaction | null>(
  "duetime/store/CurrentMemoryTransaction",
  {
    defaultValue: () => null
  }
)
