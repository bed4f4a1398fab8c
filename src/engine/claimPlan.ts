import type { KindCaps } from "../core/KindPolicy.ts"
import type { Priority } from "../core/Priority.ts"
import type { EngineConfig } from "./EngineConfig.ts"
import { flooredLanes } from "./LaneFloors.ts"
import type { CappedKind, QueueLoad } from "./QueueLoad.ts"

/**
 * Which claims an engine makes now, from what it holds of each queue. Three ways to claim, the first that has room:
 *
 * - `ahead`: all that is due within the look-ahead, while armed and pressing tasks together leave room in the window;
 * - `due`: only what is due now, while the pressing ones alone leave room. A window full of tasks armed for later must
 *   not keep out the one that is due before them;
 * - `critical`: the critical lane alone, within the look-ahead, above a full window.
 *
 * And beside them:
 *
 * - `floor`: a lower lane alone, as many as it is owed (`LaneFloors.ts`), above a window that urgent tasks fill;
 * - `capped`: a kind with caps alone, only what is due: claiming ahead would let a whole look-ahead start at once.
 *
 * So an engine holds at most one window armed, one window pressing, the critical allowance and three floors of a
 * fifth, per queue. Queues are claimed together when their room is alike (within a factor of two) and the limit is the
 * smallest room, so that no queue can get more than its own and ten idle queues still cost one statement.
 */
export type PlannedClaim = {
  readonly way: "ahead" | "due" | "critical" | "floor" | "capped"
  readonly loads: ReadonlyArray<QueueLoad>
  readonly priorities: ReadonlyArray<Priority> | undefined
  readonly capped: CappedKind | undefined
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
  const groups = new Map<string, Group>()
  for (const load of loads) {
    for (const open of waysOf(load, times, config)) {
      if (open.atOnceInMs > 0) continue
      const { capped, lane, room, way } = open
      const key = `${way} ${lane ?? capped?.kind ?? ""} ${Math.floor(Math.log2(room))}`
      const group = groups.get(key)
      if (group === undefined) groups.set(key, { ...open, loads: [load] })
      else {
        group.loads.push(load)
        group.room = Math.min(group.room, room)
      }
    }
  }
  return Array.from(groups.values(), ({ capped, lane, loads, room, way }) => ({
    way,
    loads,
    priorities: lane === undefined ? undefined : [lane],
    capped,
    lookAheadMs: way === "due" || way === "capped" ? 0 : config.lookAheadMs,
    limit: Math.min(room, config.claimBatchSizeMax)
  }))
}

/** The kinds that a planned claim asks for, and their caps. */
export const kindsOf = ({
  capped,
  loads
}: PlannedClaim): { readonly kinds: ReadonlyArray<string>; readonly caps: KindCaps | undefined } =>
  capped === undefined
    ? { kinds: loads.flatMap((load) => load.kinds), caps: undefined }
    : { kinds: [capped.kind], caps: capped.caps }

/** Milliseconds until the next claim of any queue; 0 for at once. */
export const claimInMs = (loads: Iterable<QueueLoad>, times: ClaimTimes, config: EngineConfig): number => {
  let hasLoads = false
  let inMs = config.idlePollMs * quietPolls
  for (const load of loads) {
    hasLoads = true
    for (const way of waysOf(load, times, config)) inMs = Math.min(inMs, Math.max(0, way.atOnceInMs))
  }
  // Without any, whether a worker serves something by now is told by nobody; a task that was told of meanwhile would wait for it.
  return hasLoads ? inMs : Math.min(config.idlePollMs, unservedPollMsMax)
}

/** Whether work that is known to be due within the look-ahead waits only for room. */
export const isHeldBack = (loads: Iterable<QueueLoad>, times: ClaimTimes, config: EngineConfig): boolean => {
  for (const load of loads) {
    const untilMs = times.nowMs + config.lookAheadMs
    if (load.kinds.length > 0 && load.nextDueAtMs <= untilMs && aheadRoomOf(load, config) === undefined) return true
    const isFull = dueRoomOf(load, config) === undefined
    if (isFull && load.capped.some(({ nextDueAtMs }) => nextDueAtMs <= times.nowMs)) return true
  }
  return false
}

/** Whether all there will be to do for a while is to poll, as far as is known. */
export const isQuiet = (loads: Iterable<QueueLoad>, { nowMs }: ClaimTimes, config: EngineConfig): boolean => {
  const untilMs = nowMs + config.lookAheadMs + config.idlePollMs * (quietPolls + 1)
  for (const load of loads) {
    const polled = load.kinds.length === 0 ? load.capped : [load, ...load.capped]
    if (polled.some(({ emptyClaims, nextDueAtMs }) => emptyClaims < quietClaims || nextDueAtMs <= untilMs)) return false
  }
  return true
}

type WayOpen = {
  readonly way: PlannedClaim["way"]
  readonly room: number
  readonly atOnceInMs: number
  readonly lane?: Priority
  readonly capped?: CappedKind
}
type Group = Omit<WayOpen, "room"> & { readonly loads: Array<QueueLoad>; room: number }

/** Ways to claim that have room, and when each is due: at the task known to be next, or when the idle poll is. */
const waysOf = (load: QueueLoad, times: ClaimTimes, config: EngineConfig): ReadonlyArray<WayOpen> => [
  ...(load.kinds.length === 0 ? [] : [...uncappedWays(load, times, config), ...floorWays(load, times, config)]),
  ...cappedWays(load, times, config)
]

const uncappedWays = (load: QueueLoad, times: ClaimTimes, config: EngineConfig): ReadonlyArray<WayOpen> => {
  const idleInMs = load.claimedAtMs + idlePollMs(load, config) - times.monotonicMs
  const nextDueInMs = load.nextDueAtMs - times.nowMs

  const aheadRoom = aheadRoomOf(load, config)
  if (aheadRoom !== undefined) {
    return [{ way: "ahead", room: aheadRoom, atOnceInMs: Math.min(idleInMs, nextDueInMs - config.lookAheadMs) }]
  }
  const ways: Array<WayOpen> = []
  const dueRoom = dueRoomOf(load, config)
  if (dueRoom !== undefined) ways.push({ way: "due", room: dueRoom, atOnceInMs: Math.min(idleInMs, nextDueInMs) })
  const criticalRoom = config.criticalTasksMax - load.heldIn("critical")
  if (criticalRoom > 0) {
    const paceMs = load.criticalWoken ? criticalPaceMs : config.idlePollMs
    const atOnceInMs = load.criticalClaimedAtMs + paceMs - times.monotonicMs
    ways.push({ way: "critical", lane: "critical", room: criticalRoom, atOnceInMs })
  }
  return ways
}

const floorWays = (load: QueueLoad, times: ClaimTimes, config: EngineConfig): ReadonlyArray<WayOpen> => {
  const ways: Array<WayOpen> = []
  const floorTasks = Math.max(1, Math.floor(load.windowTasks(config) * floorWindowShare))
  for (const lane of flooredLanes) {
    const room = Math.min(load.floors.owed(lane), floorTasks - load.heldIn(lane))
    if (room < 1) continue
    ways.push({ way: "floor", lane, room, atOnceInMs: load.floorClaimedAtMs + floorPaceMs - times.monotonicMs })
  }
  return ways
}

const cappedWays = (load: QueueLoad, times: ClaimTimes, config: EngineConfig): ReadonlyArray<WayOpen> => {
  if (load.capped.length === 0) return []
  const room = dueRoomOf(load, config)
  if (room === undefined) return []
  return load.capped.map((capped) => {
    const idleInMs = capped.claimedAtMs + idlePollMs(capped, config) - times.monotonicMs
    const dueInMs = Math.min(idleInMs, capped.nextDueAtMs - times.nowMs)
    return { way: "capped", capped, room, atOnceInMs: Math.max(dueInMs, capped.openAtMs - times.monotonicMs) }
  })
}

/** What has found nothing for a while is asked less often: wake-ups tell of nearly everything that a poll would find. */
const idlePollMs = ({ emptyClaims }: { readonly emptyClaims: number }, config: EngineConfig): number =>
  emptyClaims >= quietClaims ? config.idlePollMs * quietPolls : config.idlePollMs

const aheadRoomOf = (load: QueueLoad, config: EngineConfig): number | undefined => {
  const windowTasks = load.windowTasks(config)
  const room = windowTasks - load.armedCount - load.pressingCount
  return room >= Math.max(1, windowTasks * aheadRoomShareMin) ? room : undefined
}

const dueRoomOf = (load: QueueLoad, config: EngineConfig): number | undefined => {
  const windowTasks = load.windowTasks(config)
  const room = windowTasks - load.pressingCount
  return room >= Math.max(1, windowTasks * dueRoomShareMin) ? room : undefined
}

/**
 * Less room than this share of the window is not worth a statement. What is claimed ahead has time to wait for a larger
 * batch; what is due has not.
 */
const aheadRoomShareMin = 1 / 4
const dueRoomShareMin = 1 / 8
/** Empty claims in a row after which a queue is quiet: two seconds of them by default. */
export const quietClaims = 8
/**
 * A quiet queue is polled once in so many idle polls, or one more if the beat falls there: once a second by default, which with ten
 * queues is still one statement.
 */
export const quietPolls = 3
/** Between two claims of the critical lane while new tasks keep coming and the window is full: 50 statements a second at most. */
const criticalPaceMs = 20
/** Between two looks for a first worker. */
const unservedPollMsMax = 250
/** Of the window, for each lower lane: twice what it is owed, as the window is twice what starts between two refills. */
const floorWindowShare = 1 / 5
/** Between two claims of what lower lanes are owed. */
const floorPaceMs = 50
