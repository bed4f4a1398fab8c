import type { Priority } from "../../core/Priority.ts"
import type { TaskId } from "../../core/TaskId.ts"
import { Heap } from "./Heap.ts"

/** A pending task as it stood at `version`. Whatever happens to the task afterwards makes the entry stale. */
export type LaneEntry = { readonly taskId: TaskId; readonly dueAtMs: number; readonly version: number }

/** Stale entries a lane may carry beside as many live ones before it is rebuilt. */
const staleCountMax = 1_024

/**
 * Pending tasks in lanes, one per kind and priority, each a heap ordered by due time and then id. A task that leaves
 * `pending` is not searched for: its entry is stale, because versions only grow, and is dropped when it comes to
 * the top or when half the lane is stale.
 */
export class Lanes {
  readonly #lanes = new Map<string, Map<Priority, Lane>>()
  readonly #isCurrent: (entry: LaneEntry) => boolean

  constructor(isCurrent: (entry: LaneEntry) => boolean) {
    this.#isCurrent = isCurrent
  }

  enter(kind: string, priority: Priority, entry: LaneEntry): void {
    let ofKind = this.#lanes.get(kind)
    if (ofKind === undefined) this.#lanes.set(kind, (ofKind = new Map()))
    let lane = ofKind.get(priority)
    if (lane === undefined) ofKind.set(priority, (lane = { heap: new Heap(isDueBefore), liveCount: 0 }))
    lane.heap.push(entry)
    lane.liveCount++
  }

  /** To be called after the task has left, so that its entry reads as stale. */
  leave(kind: string, priority: Priority): void {
    const lane = this.#lanes.get(kind)?.get(priority)
    if (lane === undefined) return
    lane.liveCount--
    if (lane.heap.size > 2 * lane.liveCount + staleCountMax) lane.heap.retain(this.#isCurrent)
  }

  /** The oldest due entry of one priority over all these kinds. */
  oldest(kinds: Iterable<string>, priority: Priority): LaneEntry | undefined {
    let oldest: LaneEntry | undefined
    for (const kind of kinds) {
      const entry = this.#head(kind, priority)
      if (entry !== undefined && (oldest === undefined || isDueBefore(entry, oldest))) oldest = entry
    }
    return oldest
  }

  /** The oldest due entry over several priorities. */
  earliest(kinds: Iterable<string>, lanes: ReadonlyArray<Priority>): LaneEntry | undefined {
    let earliest: LaneEntry | undefined
    for (const priority of lanes) {
      const entry = this.oldest(kinds, priority)
      if (entry !== undefined && (earliest === undefined || isDueBefore(entry, earliest))) earliest = entry
    }
    return earliest
  }

  /** Pending tasks of a kind due at `atMs` or before, counted up to `countMax`. */
  countDue(kind: string, atMs: number, countMax: number): number {
    let count = 0
    for (const lane of this.#lanes.get(kind)?.values() ?? []) {
      for (const entry of lane.heap.entries) {
        if (count >= countMax) return count
        if (entry.dueAtMs <= atMs && this.#isCurrent(entry)) count++
      }
    }
    return count
  }

  #head(kind: string, priority: Priority): LaneEntry | undefined {
    const heap = this.#lanes.get(kind)?.get(priority)?.heap
    if (heap === undefined) return undefined
    for (let entry = heap.peek(); entry !== undefined; entry = heap.peek()) {
      if (this.#isCurrent(entry)) return entry
      heap.pop()
    }
    return undefined
  }
}

type Lane = { readonly heap: Heap<LaneEntry>; liveCount: number }

const isDueBefore = (one: LaneEntry, other: LaneEntry): boolean =>
  one.dueAtMs < other.dueAtMs || (one.dueAtMs === other.dueAtMs && one.taskId < other.taskId)
