/** Does what the plan says. What is killed or stopped is started again within its fault, so that all is whole at the end. */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect } from "effect"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { type Action, nameOf } from "./Action.ts"
import type { Fleet } from "./fleet.ts"
import type { Kafka } from "./kafka.ts"
import type { Killed, Member } from "./Member.ts"
import type { Network } from "./network.ts"
import type { Fault, Plan } from "./plan.ts"

export type Injected = {
  readonly what: string
  readonly phase: Fault["phase"]
  /** Since the load began. */
  readonly atMs: number
  readonly tookMs: number
  /** Sessions that were terminated, or 1. */
  readonly times: number
  readonly killed: ReadonlyArray<Killed>
}

const terminateEveryMs = 200
/** Of about fifty sessions. */
const terminatedPerTick = 3

export const inject = Effect.fnUntraced(function* (
  plan: Plan,
  world: {
    readonly fleet: Fleet
    readonly kafka: Kafka
    readonly network: Network
    readonly tell: (what: string) => void
  }
) {
  const { fleet, kafka, network, tell } = world
  const postgres = yield* EmbeddedPostgres
  const sql = yield* PgClient.PgClient
  const beganAtMs = yield* Clock.currentTimeMillis
  const sinceBeganMs = Effect.map(Clock.currentTimeMillis, (nowMs) => nowMs - beganAtMs)

  const terminate = Effect.map(
    sql<{ readonly ended: boolean }>`SELECT pg_terminate_backend(pid) AS ended FROM (
      SELECT pid FROM pg_stat_activity WHERE application_name IN ('duetime', 'duetime-session', 'duetime-app')
      ORDER BY random() LIMIT ${terminatedPerTick}::int4) s`,
    (rows) => rows.filter(({ ended }) => ended).length
  )

  /** Who is meant; null: a store. While the stores are up there is always an engine that repairs; later that is for the drain. */
  const targetOf = Effect.fnUntraced(function* (action: Action, phase: Fault["phase"]) {
    if (!("role" in action)) return null
    if (action.role === "engine" && action._tag !== "ShiftClock" && phase === "kills") yield* fleet.settled
    return yield* fleet.up(action.role, action.member)
  })

  /** Done when what was broken is whole again, or at least on its way. */
  const act = Effect.fnUntraced(function* (action: Action, member: Member | null) {
    switch (action._tag) {
      case "Kill":
      case "KillTwice":
      case "Pause":
      case "Stop":
      case "ShiftClock": {
        if (member === null) return yield* Effect.die(new Error(`${nameOf(action)} without a process`))
        if (action._tag === "Pause") {
          yield* member.pause(action.pauseMs)
          return once
        }
        if (action._tag === "ShiftClock") {
          yield* member.shiftClock(action.offsetMs)
          yield* Effect.ensuring(Effect.sleep(action.forMs), member.shiftClock(0))
          return once
        }
        if (action._tag === "Stop") yield* member.stop
        const first = action._tag === "Stop" ? null : yield* member.kill
        yield* Effect.sleep(action.downMs)
        yield* member.start
        if (action._tag !== "KillTwice") return { times: 1, killed: first === null ? [] : [first] }
        yield* Effect.sleep(action.againMs)
        const second = yield* member.kill
        yield* member.start
        return { times: 1, killed: [first, second].filter((killed) => killed !== null) }
      }
      case "CrashPostgres": {
        yield* postgres.crash
        yield* Effect.sleep(action.downMs)
        yield* postgres.start
        return once
      }
      case "TerminateBackends": {
        const untilMs = (yield* Clock.currentTimeMillis) + action.forMs
        let times = 0
        while ((yield* Clock.currentTimeMillis) < untilMs) {
          times += yield* Effect.orElseSucceed(terminate, () => 0)
          yield* Effect.sleep(terminateEveryMs)
        }
        return { times, killed: [] }
      }
      case "KillKafka":
      case "WipeKafka": {
        yield* kafka.kill
        if (action._tag === "WipeKafka") yield* kafka.wipe
        yield* Effect.sleep(action.downMs)
        yield* kafka.start
        return once
      }
      case "Delay": {
        const lines = network.to(action.store, action.place)
        lines.forEach((line) => line.slow(action.delayMs))
        const again = Effect.sync(() => lines.forEach((line) => line.slow(0)))
        yield* Effect.ensuring(Effect.sleep(action.forMs), again)
        return once
      }
      case "Cut": {
        network.to(action.store, action.place).forEach((line) => line.cut())
        return once
      }
      case "HalfOpen": {
        const lines = network.to(action.store, action.place)
        lines.forEach((line) => line.darken(action.direction))
        const again = Effect.sync(() => lines.forEach((line) => line.lighten(action.afterwards)))
        yield* Effect.ensuring(Effect.sleep(action.forMs), again)
        return once
      }
    }
  })

  const injected: Array<Injected> = []
  const runLane = (faults: ReadonlyArray<Fault>) =>
    Effect.forEach(
      faults,
      Effect.fnUntraced(function* ({ action, atMs: plannedAtMs, phase }) {
        yield* Effect.sleep(Math.max(0, plannedAtMs - (yield* sinceBeganMs)))
        const member = yield* targetOf(action, phase)
        const atMs = yield* sinceBeganMs
        // A lane that ran late: the next phase has other rules.
        if (atMs > plan.phases[phase].untilMs) return
        const what = nameOf(action)
        tell(what)
        const done = yield* act(action, member)
        injected.push({ what, phase, atMs, tookMs: (yield* sinceBeganMs) - atMs, ...done })
      }),
      { discard: true }
    )
  const lanes = Map.groupBy(plan.faults, ({ lane, phase }) => `${phase} ${lane}`)
  yield* Effect.forEach(lanes.values(), runLane, { concurrency: "unbounded", discard: true })
  return injected.toSorted((left, right) => left.atMs - right.atMs)
})

const once = { times: 1, killed: [] }
