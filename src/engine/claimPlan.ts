import type { Priority } from "../core/Priority.ts"
import type { EngineConfig } from "./EngineConfig.ts"
import type { QueueLoad } from "./QueueLoad.ts"

/**
 * Which claims an engine makes now, from what it holds of each queue. Three ways to claim, the first that has room:
 *
 * - `ahead`: all that is due within the look-ahead, while armed and pressing tasks together leave room in the window;
 * - `due`: only what is due now, while the pressing ones alone leave room. A window full of tasks armed for later must
 *   not keep out the one that is due before them;
 * - `critical`: the critical lane alone, within the look-ahead, above a full window.
 *
 * So an engine holds at most one window armed, one window pressing, and the critical allowance, per queue. Queues are claimed
 * together when their room is alike (within a factor of two) and the limit is the smallest room, so that no queue can get
 * more than its own and ten idle queues still cost one statement.
 */
export type PlannedClaim = {
  readonly way: "ahead" | "due" | "critical"
  readonly loads: ReadonlyArray<QueueLoad>
  readonly priorities: ReadonlyArray<Priority> | undefined
  readonly lookAheadMs: number
  readonly limit: number
}

export type ClaimTimes = {
  /** The database's time, as estimated. */
  readonly nowMs: number
  readonly monotonicMs: number
}

export const planClaims = (
  loads: Iterable<QueueLoad>,
  times: ClaimTimes,
  config: EngineConfig
): ReadonlyArray<PlannedClaim> => {
  const groups = new Map<string, { readonly way: Way; readonly loads: Array<QueueLoad>; room: number }>()
  for (const load of loads) {
    if (load.kinds.length === 0) continue
    for (const { atOnceInMs, room, way } of waysOf(load, times, config)) {
      if (atOnceInMs > 0) continue
      const key = `${way} ${Math.floor(Math.log2(room))}`
      const group = groups.get(key)
      if (group === undefined) groups.set(key, { way, loads: [load], room })
      else {
        group.loads.push(load)
        group.room = Math.min(group.room, room)
      }
    }
  }
  return Array.from(groups.values(), ({ loads, room, way }) => ({
    way,
    loads,
    priorities: way === "critical" ? criticalOnly : undefined,
    lookAheadMs: way === "due" ? 0 : config.lookAheadMs,
    limit: Math.min(room, config.claimBatchSizeMax)
  }))
}

/** Milliseconds until the next claim of any queue; 0 for at once. */
export const claimInMs = (loads: Iterable<QueueLoad>, times: ClaimTimes, config: EngineConfig): number => {
  let inMs = config.idlePollMs
  for (const load of loads) {
    if (load.kinds.length === 0) continue
    for (const way of waysOf(load, times, config)) inMs = Math.min(inMs, Math.max(0, way.atOnceInMs))
  }
  return inMs
}

/** Whether work that is known to be due within the look-ahead waits only for room. */
export const isHeldBack = (loads: Iterable<QueueLoad>, times: ClaimTimes, config: EngineConfig): boolean => {
  for (const load of loads) {
    if (load.kinds.length === 0 || load.nextDueAtMs > times.nowMs + config.lookAheadMs) continue
    if (!waysOf(load, times, config).some(({ way }) => way === "ahead")) return true
  }
  return false
}

type Way = PlannedClaim["way"]
type WayOpen = { readonly way: Way; readonly room: number; readonly atOnceInMs: number }

/** Ways to claim that have room, and when each is due: at the task known to be next, or when the idle poll is. */
const waysOf = (load: QueueLoad, times: ClaimTimes, config: EngineConfig): ReadonlyArray<WayOpen> => {
  const windowTasks = load.windowTasks(config)
  const idleInMs = load.claimedAtMs + config.idlePollMs - times.monotonicMs
  const nextDueInMs = load.nextDueAtMs - times.nowMs

  const aheadRoom = windowTasks - load.armedCount - load.pressingCount
  if (aheadRoom >= Math.max(1, windowTasks * aheadRoomShareMin)) {
    return [{ way: "ahead", room: aheadRoom, atOnceInMs: Math.min(idleInMs, nextDueInMs - config.lookAheadMs) }]
  }
  const ways: Array<WayOpen> = []
  const dueRoom = windowTasks - load.pressingCount
  if (dueRoom >= Math.max(1, windowTasks * dueRoomShareMin))
    ways.push({ way: "due", room: dueRoom, atOnceInMs: Math.min(idleInMs, nextDueInMs) })
  const criticalRoom = config.criticalTasksMax - load.criticalCount
  if (criticalRoom > 0) {
    const paceMs = load.criticalWoken ? criticalPaceMs : config.idlePollMs
    const atOnceInMs = load.criticalClaimedAtMs + paceMs - times.monotonicMs
    ways.push({ way: "critical", room: criticalRoom, atOnceInMs })
  }
  return ways
}

/**
 * Less room than this share of the window is not worth a statement. What is claimed ahead has time to wait for a larger
 * batch; what is due has not.
 */
const aheadRoomShareMin = 1 / 4
const dueRoomShareMin = 1 / 8
const criticalOnly: ReadonlyArray<Priority> = ["critical"]
/** Between two claims of the critical lane while new tasks keep coming and the window is full: 50 statements a second at most. */
const criticalPaceMs = 20
