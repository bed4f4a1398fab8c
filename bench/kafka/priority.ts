import { Effect } from "effect"
import { atLeast, atMost } from "../report.ts"
import { Cluster, costSince } from "./cluster.ts"
import { type Start, startsOf, summaryOf, tallyOf } from "./history.ts"
import { arrive, pile, soonMs, untilOver, warmUp } from "./load.ts"
import { engineOnly, kindSpec, workerOf } from "./role.ts"

/**
 * Priorities where it matters: slots and not the CPU are scarce (50 slots, 50 ms each: 1,000 starts/s). A trickle of critical
 * tasks by itself; the same beside a backlog of low ones; for comparison beside an equal backlog of its own priority, as
 * one topic in order of due time would have it; and a flood of critical tasks beside some low ones, which must not starve.
 */
export type PriorityOptions = {
  readonly lowTasks: number
  readonly trickleSeconds: number
  readonly floodPerSecond: number
  readonly floodSeconds: number
  readonly random: () => number
}

const concurrency = 50
const handlerMs = 50
const tricklePerSecond = 20
const floodLowTasks = 5_000

const kind = (name: string, priority: "critical" | "normal" | "low") =>
  kindSpec(`bench.${name}`, { queue: "priority", priority, handlerMs })
const warm = kind("warm-up", "normal")
const idle = kind("idle", "critical")
const trickle = kind("trickle", "critical")
const low = kind("low", "low")
const plainTrickle = kind("plain-trickle", "normal")
const plain = kind("plain", "normal")
const flood = kind("flood", "critical")
const floodLow = kind("flood-low", "low")
const kinds = [warm, idle, trickle, low, plainTrickle, plain, flood, floodLow]

export const priority = ({ floodPerSecond, floodSeconds, lowTasks, random, trickleSeconds }: PriorityOptions) => {
  const program = Effect.gen(function* () {
    const cluster = yield* Cluster
    yield* cluster.start(engineOnly)
    yield* cluster.start(workerOf(kinds, concurrency))
    yield* warmUp(warm)

    const drainMsMax = 30_000 + (lowTasks / (concurrency / handlerMs)) * 2
    yield* arrive({ spec: idle, ratePerSecond: tricklePerSecond, seconds: Math.ceil(trickleSeconds / 2), random })
    yield* untilOver([idle.kind], 30_000)
    const beside = Effect.fnUntraced(function* (backlog: typeof low, few: typeof trickle) {
      const fromMs = (yield* soonMs) + lowTasks / 5
      yield* pile(backlog, lowTasks, fromMs)
      yield* arrive({ spec: few, ratePerSecond: tricklePerSecond, seconds: trickleSeconds, random, fromMs })
      return yield* untilOver([backlog.kind, few.kind], drainMsMax)
    })
    const before = yield* cluster.cost
    yield* beside(low, trickle)
    const cost = costSince(before, yield* cluster.cost, lowTasks + tricklePerSecond * trickleSeconds)
    yield* beside(plain, plainTrickle)

    const floodFromMs = (yield* soonMs) + floodLowTasks / 5
    yield* pile(floodLow, floodLowTasks, floodFromMs)
    const flooded = yield* arrive({
      spec: flood,
      ratePerSecond: floodPerSecond,
      seconds: floodSeconds,
      random,
      fromMs: floodFromMs
    })
    const during = (starts: ReadonlyArray<Start>) =>
      starts.filter(({ atMs }) => atMs >= flooded.fromMs && atMs < flooded.untilMs)
    const floodStarts = during(yield* startsOf([flood.kind]))
    const floodLowStarts = during(yield* startsOf([floodLow.kind]))

    const idleDrift = summaryOf(yield* startsOf([idle.kind]))
    const trickleDrift = summaryOf(yield* startsOf([trickle.kind]))
    const lowStarts = yield* startsOf([low.kind])
    const lowDrift = summaryOf(lowStarts)
    const plainDrift = summaryOf(yield* startsOf([plainTrickle.kind]))
    const done = yield* tallyOf([idle.kind, trickle.kind, low.kind, plain.kind, plainTrickle.kind])
    const lowShare = floodLowStarts.length / Math.max(1, floodStarts.length + floodLowStarts.length)
    return {
      settings: { lowTasks, tricklePerSecond, trickleSeconds, floodPerSecond, floodSeconds, concurrency, handlerMs },
      figures: {
        criticalIdle: idleDrift,
        criticalBesideLow: trickleDrift,
        low: { ...lowDrift, pulledShare: pulledShareOf(lowStarts) },
        // Of the trickle and the low ones together.
        ...cost,
        oneTopicInOrder: plainDrift,
        flood: {
          criticalStartsPerSecond: floodStarts.length / floodSeconds,
          lowStartsPerSecond: floodLowStarts.length / floodSeconds,
          lowShare,
          pulledShare: pulledShareOf([...floodStarts, ...floodLowStarts])
        }
      },
      floors: [
        atMost(
          "p99 ms of critical starts beside low ones (2 x idle, 50 at least)",
          Math.max(2 * idleDrift.p99, 50),
          trickleDrift.p99
        ),
        atLeast("share of low starts under a flood of critical ones", 0.05, lowShare),
        atMost("early starts", 0, idleDrift.early + trickleDrift.early + lowDrift.early + plainDrift.early),
        atMost("tasks missing", 0, done.missing),
        atMost("attempts started twice", 0, done.startedTwice),
        atMost("processes that ended by themselves", 0, cluster.crashes())
      ]
    }
  })
  return Effect.scoped(program).pipe(Effect.provide(Cluster.layer))
}

const pulledShareOf = (starts: ReadonlyArray<Start>): number =>
  starts.filter(({ dispatchedAtMs }) => dispatchedAtMs === null).length / Math.max(1, starts.length)
