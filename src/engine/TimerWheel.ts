/**
 * Holds claimed tasks until they are due and then releases them, the most urgent first, in one batch per tick.
 *
 * A hashed wheel (Varghese and Lauck, scheme 6): one slot per millisecond, the due time modulo the number of slots. Adding
 * and removing cost O(1); a tick walks the slots passed since the last one, and one OS timer is armed for the next
 * slot that is not empty. A slot is visited by its time and releases by the tasks' own, so tasks further away than
 * one turn of the wheel, and clocks that are set back, cost an idle visit and nothing else.
 *
 * Time is the database's, as estimated by the store. A task is never released while that estimate is before its due
 * time; the estimate is read again at each tick, and `turn` after each claim arms the timer anew by a fresher one.
 */
import type { TaskId } from "../core/TaskId.ts"
import type { Fence } from "../core/TaskState.ts"
import { type Armed, byUrgency } from "./QueueLoad.ts"
import type { WheelTimer } from "./WheelTimer.ts"

/** Slots of one millisecond: more than two look-aheads. */
const slotsCount = 4_096
/** Copied by each wheel, which is forty times as fast as making it, and simulations make thousands of engines. */
const noSlots: ReadonlyArray<Array<Armed> | undefined> = Array.from({ length: slotsCount })
/** Some 10 MB; 25 queues with the largest window. What does not fit stays in the database. */
export const capacityTasksDefault = 50_000

export class TimerWheel {
  readonly #timer: WheelTimer
  readonly #clockOffsetMs: () => number
  readonly #release: (batch: ReadonlyArray<Armed>) => void
  readonly #capacityTasks: number

  readonly #armedById = new Map<TaskId, Armed>()
  readonly #slots: Array<Array<Armed> | undefined> = noSlots.slice()
  /** Every armed task lies in the slot of a millisecond at or after this one, or in a later turn. */
  #cursorMs = 0
  #timerAtMs = Number.POSITIVE_INFINITY
  #disarm = () => {}

  constructor(options: {
    readonly timer: WheelTimer
    /** Database clock minus the timer's clock. */
    readonly clockOffsetMs: () => number
    /** Called with all that became due, in order of priority, then due time. Must not throw. */
    readonly release: (batch: ReadonlyArray<Armed>) => void
    readonly capacityTasks?: number
  }) {
    this.#timer = options.timer
    this.#clockOffsetMs = options.clockOffsetMs
    this.#release = options.release
    this.#capacityTasks = options.capacityTasks ?? capacityTasksDefault
  }

  /** The database's time, as far as this process knows it. */
  nowMs(): number {
    return this.#timer.nowMs() + this.#clockOffsetMs()
  }

  get size(): number {
    return this.#armedById.size
  }

  /** Tasks that still fit. */
  get room(): number {
    return Math.max(0, this.#capacityTasks - this.#armedById.size)
  }

  /**
   * Arms tasks, up to the capacity, and releases what is due already. A task armed before is replaced: its newest claim
   * is the one that counts.
   *
   * @returns how many were armed or released
   */
  add(batch: ReadonlyArray<Armed>): number {
    const nowMs = this.nowMs()
    let count = 0
    for (const armed of batch) {
      this.remove(armed.task.taskId)
      if (this.room === 0) continue
      this.#armedById.set(armed.task.taskId, armed)
      armed.load.armedCount++
      armed.load.armedIn[armed.task.priority]++
      this.#place(armed, nowMs)
      count++
    }
    this.turn()
    return count
  }

  remove(taskId: TaskId): boolean {
    // Its slot keeps the entry until the slot is visited, and skips it then.
    const armed = this.#armedById.get(taskId)
    return armed !== undefined && this.#forget(armed)
  }

  has(taskId: TaskId, fence: Fence): boolean {
    return this.#armedById.get(taskId)?.task.fence.eventId === fence.eventId
  }

  /** Releases what is due and arms the timer for what is next. */
  turn(): void {
    const due = this.#takeDue(this.nowMs())
    if (due.length > 0) this.#release(due)
    this.#armTimer()
  }

  /** Empties the wheel and returns what it held. */
  clear(): ReadonlyArray<Armed> {
    const all = [...this.#armedById.values()]
    for (const armed of all) this.#forget(armed)
    this.#slots.fill(undefined)
    this.#armTimer()
    return all
  }

  #place(armed: Armed, nowMs: number): void {
    // Rounded up: the slot of a millisecond is visited when that millisecond has begun.
    const slotMs = Math.max(Math.ceil(armed.task.dueAtMs), Math.floor(nowMs))
    if (this.#armedById.size === 1 || slotMs < this.#cursorMs) this.#cursorMs = slotMs
    const slot = this.#slots[slotMs % slotsCount]
    if (slot === undefined) this.#slots[slotMs % slotsCount] = [armed]
    else slot.push(armed)
  }

  #forget(armed: Armed): boolean {
    armed.load.armedCount--
    armed.load.armedIn[armed.task.priority]--
    return this.#armedById.delete(armed.task.taskId)
  }

  #takeDue(nowMs: number): ReadonlyArray<Armed> {
    const due: Array<Armed> = []
    if (this.#armedById.size === 0) return due
    const lastMs = Math.floor(nowMs)
    // One turn visits every slot.
    const firstMs = Math.max(this.#cursorMs, lastMs - slotsCount + 1)
    for (let slotMs = firstMs; slotMs <= lastMs; slotMs++) {
      const slot = this.#slots[slotMs % slotsCount]
      if (slot !== undefined) this.#slots[slotMs % slotsCount] = this.#visit(slot, nowMs, due)
    }
    if (lastMs >= this.#cursorMs) this.#cursorMs = lastMs + 1
    return isOrdered(due) ? due : due.toSorted(byUrgency)
  }

  /** Moves what is due out of a slot; returns what stays for a later turn. */
  #visit(slot: ReadonlyArray<Armed>, nowMs: number, due: Array<Armed>): Array<Armed> | undefined {
    let later: Array<Armed> | undefined
    for (const armed of slot) {
      if (this.#armedById.get(armed.task.taskId) !== armed) continue
      if (armed.task.dueAtMs <= nowMs) {
        due.push(armed)
        this.#forget(armed)
      } else if (later === undefined) later = [armed]
      else later.push(armed)
    }
    return later
  }

  #armTimer(): void {
    const atMs = this.#nextSlotMs() - this.#clockOffsetMs()
    // The offset is an average and moves by microseconds with each claim.
    if (atMs === this.#timerAtMs || Math.abs(atMs - this.#timerAtMs) < 0.01) return
    this.#disarm()
    this.#timerAtMs = atMs
    this.#disarm =
      atMs === Number.POSITIVE_INFINITY
        ? () => {}
        : this.#timer.arm(atMs, () => {
            this.#timerAtMs = Number.POSITIVE_INFINITY
            this.turn()
          })
  }

  #nextSlotMs(): number {
    if (this.#armedById.size === 0) return Number.POSITIVE_INFINITY
    for (let slotMs = this.#cursorMs; slotMs < this.#cursorMs + slotsCount; slotMs++) {
      if (this.#slots[slotMs % slotsCount] === undefined) continue
      // The next look begins here: an engine turns its wheel at each claim, and what is next is mostly seconds away.
      this.#cursorMs = slotMs
      return slotMs
    }
    return Number.POSITIVE_INFINITY
  }
}

/** Mostly true, and then a sort of thousands is saved: slots are visited in due order and claims come by priority. */
const isOrdered = (batch: ReadonlyArray<Armed>): boolean => {
  let before: Armed | undefined
  for (const armed of batch) {
    if (before !== undefined && byUrgency(before, armed) > 0) return false
    before = armed
  }
  return true
}
