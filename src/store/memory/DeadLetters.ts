import type { DeadLetter } from "../../core/DeadLetter.ts"
import { fingerprintOf } from "../../core/fingerprint.ts"
import type { TaskId } from "../../core/TaskId.ts"
import type { DeadGroup, DeadGroupsFilter } from "../TaskStore.ts"
import type { MemoryProcess } from "./MemoryProcess.ts"
import type { Streams } from "./Streams.ts"

/** What groups dead letters are in, which of them are being announced, and by whom: a crashed process locks nothing, as a broken connection does. */
export class DeadLetters {
  readonly #streams: Streams
  readonly #locks = new Map<TaskId, MemoryProcess>()
  readonly #groups = new Map<TaskId, { readonly version: number; readonly group: string }>()

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

  /** As `TaskStore.groupDead`: here the answer is how many it is news of. */
  group(limit: number): number {
    let count = 0
    for (const [taskId, version] of this.#streams.dead) {
      if (this.#groups.get(taskId)?.version === version) continue
      if (count >= limit) break
      const death = this.#deathOf(taskId)
      if (death === null) continue
      const { group } = fingerprintOf(death.kind, death.error)
      this.#groups.set(taskId, { version, group })
      count++
    }
    return count
  }

  /** Null: it has none yet, or is no dead letter. */
  groupOf(taskId: TaskId): string | null {
    const known = this.#groups.get(taskId)
    return known !== undefined && known.version === this.#streams.dead.get(taskId) ? known.group : null
  }

  groups({ group: wanted, kind, limit }: DeadGroupsFilter): ReadonlyArray<DeadGroup> {
    const groups = new Map<string, DeadGroup>()
    for (const taskId of Array.from(this.#streams.dead.keys()).toSorted()) {
      const group = this.groupOf(taskId)
      const death = group === null ? null : this.#deathOf(taskId)
      if (group === null || death === null || (wanted !== undefined && group !== wanted)) continue
      if (kind !== undefined && death.kind !== kind) continue
      const { atMs, error, reason } = death
      const before = groups.get(group)
      groups.set(group, {
        group,
        kind: death.kind,
        count: (before?.count ?? 0) + 1,
        firstDeadAtMs: Math.min(before?.firstDeadAtMs ?? atMs, atMs),
        lastDeadAtMs: Math.max(before?.lastDeadAtMs ?? atMs, atMs),
        sample: { taskId, reason, error }
      })
    }
    return Array.from(groups.values())
      .toSorted((one, other) => other.count - one.count || (one.group < other.group ? -1 : 1))
      .slice(0, limit)
  }

  #deathOf(taskId: TaskId) {
    const kind = this.#streams.stateOf(taskId)?.kind
    const death = this.#streams.events(taskId)?.at(-1)
    return kind === undefined || death?._tag !== "TaskDeadLettered" ? null : { ...death, kind }
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
