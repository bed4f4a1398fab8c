import type { DeadLetter } from "../../core/DeadLetter.ts"
import type { TaskId } from "../../core/TaskId.ts"
import type { MemoryProcess } from "./MemoryProcess.ts"
import type { Streams } from "./Streams.ts"

/** Which dead letters are being announced, and by whom: a crashed process locks nothing, as a broken connection does. */
export class DeadLetters {
  readonly #streams: Streams
  readonly #locks = new Map<TaskId, MemoryProcess>()

  constructor(streams: Streams) {
    this.#streams = streams
  }

  /** Locks the oldest that are neither announced nor locked. */
  lock(limit: number, process: MemoryProcess): ReadonlyArray<DeadLetter> {
    const letters: Array<DeadLetter> = []
    for (const taskId of this.#streams.unannounced.keys()) {
      if (letters.length >= limit) break
      if (this.#locks.get(taskId)?.isCrashed === false) continue
      const letter = this.#letterOf(taskId)
      if (letter === null) continue
      this.#locks.set(taskId, process)
      letters.push(letter)
    }
    return letters
  }

  unlock(letters: ReadonlyArray<DeadLetter>, process: MemoryProcess): void {
    for (const { taskId } of letters) if (this.#locks.get(taskId) === process) this.#locks.delete(taskId)
  }

  /** One that was redriven and died again meanwhile is another letter. */
  markAnnounced(letters: ReadonlyArray<DeadLetter>): number {
    for (const { taskId, version } of letters) {
      if (this.#streams.unannounced.get(taskId) === version) this.#streams.unannounced.delete(taskId)
    }
    return letters.length
  }

  #letterOf(taskId: TaskId): DeadLetter | null {
    const state = this.#streams.stateOf(taskId)
    const death = this.#streams.events(taskId)?.at(-1)
    if (state === null || death?._tag !== "TaskDeadLettered") return null
    const { attempt, kind, priority, version } = state
    const { atMs: deadAtMs, error, reason } = death
    return { taskId, version, kind, priority, attempt, deadAtMs, reason, errorName: error.name }
  }
}
