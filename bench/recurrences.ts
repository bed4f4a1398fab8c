import { PgClient } from "@effect/sql-pg"
import { Effect, Layer } from "effect"
import { Duetime } from "../src/Duetime.ts"
import { EmbeddedPostgres } from "../src/embedded/EmbeddedPostgres.ts"
import { layerStore } from "../src/store/postgres/PgTaskStore.ts"
import { type Start, startsOf, summaryOf, tallyOf } from "./kafka/history.ts"
import { nowMs, sleepUntil } from "./openLoop.ts"
import { kindIdsOf } from "./pending.ts"
import { Progress } from "./progress.ts"
import { auditRecurrences } from "./recurrenceAudit.ts"
import { frequentEveryMs, loadRecurrences, nextOf } from "./recurrenceLoad.ts"
import { atMost } from "./report.ts"
import { cpuMsOfFamily, residentMiB, serverWith } from "./server.ts"
import { countedKind, type EngineProcess, spawnEngine } from "./spawnEngine.ts"
import { countedStatements, counting, most, startCounting } from "./statements.ts"
import { violations } from "./violations.ts"

/**
 * What recurrences cost that wait, and how late those are that come. For each size a server, an engine and a worker of their own: so many
 * recurrences come every ten seconds, and all others of the size once a day, later. What the engine takes is to be the same at each.
 *
 * Beside each task of a recurrence a plain task is due at the same instant, scheduled before. With the greatest size a burst comes in the
 * end: many recurrences that share one instant, and as many plain tasks that share a later one.
 *
 * Nobody asks the server for anything while it is measured, but the engine and the worker.
 */
export type RecurrencesOptions = {
  /** Ascending. */
  readonly sizes: ReadonlyArray<number>
  /** Instants of recurrences, and as many plain tasks. */
  readonly ratePerSecond: number
  readonly seconds: number
  readonly burst: number
  readonly random: () => number
}

const Recurring = countedKind("bench.recurring")
const Plain = countedKind("bench.plain")
const kinds = [Recurring.kind, Plain.kind]

/** Code is compiled, plans are made, connections are open, and what came due during the load is decided. */
const warmUpSeconds = 10
/** After the window, until the burst: what was due in it has ended. */
const settleSeconds = 5
/** Longer than recurrences are decided ahead. */
const beforeBurstSeconds = 16
const plainBurstInSeconds = 5
/** The size and its engine are there within so long: to say beforehand when the burst comes. */
const loadSecondsMax = (size: number) => 15 + Math.ceil(size / 4_000)
/** Counts and bytes, which a busy machine changes little, unlike times. */
const flatMax = 1.25
const drainMsMax = 60_000
const lookMs = 200
const listedStatements = 8

export const recurrences = ({ burst, random, ratePerSecond, seconds, sizes }: RecurrencesOptions) => {
  const frequent = (ratePerSecond * frequentEveryMs) / 1_000

  const measure = (size: number, burstHere: number) =>
    Effect.gen(function* () {
      const { processId: serverId, url } = yield* EmbeddedPostgres
      const beganAtMs = Math.ceil((yield* nowMs) / 1_000) * 1_000
      const fromMs = beganAtMs + (loadSecondsMax(size) + warmUpSeconds) * 1_000
      const untilMs = fromMs + seconds * 1_000
      const burstAtMs = untilMs + (settleSeconds + beforeBurstSeconds) * 1_000
      const rules = yield* load({ size, burst: burstHere, burstAtMs, frequent, random })
      const engine = yield* spawnEngine(url, () => {}, [kinds])
      // Far enough ahead that its claims do their work for all of them.
      const instantsMs = rules.flatMap((rule) => instantsOf(nextOf(rule), fromMs - warmUpSeconds * 1_000, untilMs))
      yield* plan(instantsMs)
      process.stderr.write(`recurrences: ${size} are loaded after ${Math.round((yield* nowMs) - beganAtMs)} ms\n`)
      if ((yield* nowMs) > fromMs - warmUpSeconds * 1_000)
        return yield* Effect.die(new Error(`${size} recurrences took longer to load than ${loadSecondsMax(size)} s`))
      const memory = Effect.map(engine.heapMiB, (heapMiB) => ({ heapMiB, residentMiB: residentMiB(engine.processId) }))
      const before = yield* memory
      yield* sleepUntil(fromMs)
      yield* startCounting
      const cpuMs = () => ({ engine: cpuMsOfFamily(engine.processId), server: cpuMsOfFamily(serverId) })
      const cpuBefore = cpuMs()
      const progress = new Progress(`recurrences: ${size}`, seconds)
      for (let second = 1; second <= seconds; second++) {
        yield* sleepUntil(fromMs + second * 1_000)
        progress.at(second)
      }
      progress.end()
      const cpuAfter = cpuMs()
      const statements = yield* countedStatements
      const after = yield* memory
      yield* sleepUntil(untilMs + settleSeconds * 1_000)
      const inWindow = ({ dueAtMs }: Start) => dueAtMs >= fromMs && dueAtMs < untilMs
      const [recurring, plain] = yield* Effect.forEach(kinds, (kind) =>
        Effect.map(startsOf([kind]), (starts) => starts.filter(inWindow))
      )
      const tasks = (recurring?.length ?? 0) + (plain?.length ?? 0)
      const cpuOf = (of: "engine" | "server") => cpuAfter[of] - cpuBefore[of]
      const calls = [...statements.values()].reduce((sum, statement) => sum + statement.calls, 0)
      const window = {
        recurringStart: summaryOf(recurring ?? []),
        plainStart: summaryOf(plain ?? []),
        queriesPerSecond: calls / seconds,
        perSecond: most(statements, "calls", seconds, listedStatements),
        serverMsPerSecond: most(statements, "ms", seconds, listedStatements),
        cpuSecondsPer1000Tasks: {
          engine: cpuOf("engine") / tasks,
          server: cpuOf("server") / tasks,
          all: (cpuOf("engine") + cpuOf("server")) / tasks
        },
        memory: { before, after }
      }
      const burstFigures =
        burstHere === 0
          ? null
          : yield* runBurst(
              burstHere,
              burstAtMs,
              rules.filter((rule) => nextOf(rule)(burstAtMs - 1) === burstAtMs).length,
              memory
            )
      return { ...window, burst: burstFigures, ...(yield* judge(engine, yield* nowMs)) }
    }).pipe(Effect.scoped, Effect.provide(serverWith(counting)))

  const program = Effect.gen(function* () {
    const found: Array<readonly [number, Effect.Success<ReturnType<typeof measure>>]> = []
    for (const size of sizes) found.push([size, yield* measure(size, size === sizes.at(-1) ? burst : 0)])
    const [first, last] = [found[0]?.[1], found.at(-1)?.[1]]
    const ratio = (of: (window: NonNullable<typeof first>) => number) =>
      first === undefined || last === undefined ? Number.NaN : of(last) / of(first)
    const sum = (of: (window: NonNullable<typeof first>) => number) =>
      found.reduce((total, [, window]) => total + of(window), 0)
    return {
      settings: {
        sizes,
        ratePerSecond,
        seconds,
        burst,
        frequentEveryMs,
        warmUpSeconds,
        instants: ratePerSecond * seconds
      },
      figures: {
        bySize: Object.fromEntries(found.map(([size, window]) => [String(size), window])),
        greatestToSmallest: {
          queriesPerSecond: ratio((window) => window.queriesPerSecond),
          heap: ratio(({ memory }) => memory.after.heapMiB),
          resident: ratio(({ memory }) => memory.after.residentMiB),
          recurringP99: ratio(({ recurringStart }) => recurringStart.p99),
          cpu: ratio(({ cpuSecondsPer1000Tasks }) => cpuSecondsPer1000Tasks.all)
        }
      },
      floors: [
        atMost(
          "early starts",
          0,
          sum((window) => window.early)
        ),
        atMost(
          "queries/s at the greatest size, of those at the smallest",
          flatMax,
          ratio((window) => window.queriesPerSecond)
        ),
        atMost(
          "heap at the greatest size, of that at the smallest",
          flatMax,
          ratio(({ memory }) => memory.after.heapMiB)
        ),
        atMost(
          "instants without exactly one fate",
          0,
          sum(({ instants }) => instants.violations)
        ),
        atMost(
          "instants that fired and have not succeeded exactly once",
          0,
          sum(({ instants }) => instants.unsucceeded)
        ),
        atMost(
          "plain tasks lost",
          0,
          sum((window) => window.plainMissing)
        ),
        atMost(
          "attempts started twice",
          0,
          sum((window) => window.startedTwice)
        ),
        atMost(
          "violations found by the audit",
          0,
          sum((window) => window.violations)
        ),
        atMost(
          "tasks of the two bursts that have not started",
          0,
          sum((window) =>
            window.burst === null
              ? 0
              : Math.abs(burst + window.burst.othersThen - window.burst.recurringStart.count) +
                Math.abs(burst - window.burst.plainStart.count)
          )
        ),
        atMost(
          "instants of the window that have not started, recurring and plain",
          0,
          sum(({ plainStart, recurringStart }) => Math.abs(plainStart.count - recurringStart.count))
        )
      ]
    }
  })
  return program
}

/** With a store of its own, which is closed when they are there: it would go on asking for the time. */
const load = Effect.fnUntraced(
  function* (wanted: {
    readonly size: number
    readonly burst: number
    readonly burstAtMs: number
    readonly frequent: number
    readonly random: () => number
  }) {
    const { burst, burstAtMs, frequent, random, size } = wanted
    if (frequent + burst > size)
      return yield* Effect.die(new Error(`${frequent} that come often and a burst of ${burst} are more than ${size}`))
    const [kindId = 0] = yield* kindIdsOf([Recurring.kind])
    return yield* loadRecurrences({ kindId, frequent, burst, burstAtMs, daily: size - frequent - burst, random })
  },
  Effect.provide(layerStore({ migrate: true }))
)

const client = Layer.provideMerge(Duetime.layer, layerStore({ migrate: false }))

const plan = (instantsMs: ReadonlyArray<number>) =>
  Effect.provide(Plain.scheduleMany(instantsMs.map((at) => ({ payload: { workMs: 0 }, at }))), client)

const instantsOf = (
  next: (afterMs: number) => number | null,
  fromMs: number,
  untilMs: number
): ReadonlyArray<number> => {
  const found: Array<number> = []
  for (let at = next(fromMs - 1); at !== null && at < untilMs; at = next(at)) found.push(at)
  return found
}

/** First of recurrences, then the same of plain tasks. */
const runBurst = Effect.fnUntraced(function* <E, R>(
  tasks: number,
  burstAtMs: number,
  /** Of those that come often. */
  othersThen: number,
  memory: Effect.Effect<{ readonly heapMiB: number; readonly residentMiB: number }, E, R>
) {
  yield* sleepUntil(burstAtMs)
  yield* untilStarted(Recurring.kind, burstAtMs, tasks + othersThen)
  const after = yield* memory
  const plainAtMs = Math.ceil((yield* nowMs) / 1_000 + plainBurstInSeconds) * 1_000
  yield* plan(Array.from({ length: tasks }, () => plainAtMs))
  yield* sleepUntil(plainAtMs)
  yield* untilStarted(Plain.kind, plainAtMs, tasks)
  const startsAt = (kind: string, atMs: number) =>
    Effect.map(startsOf([kind]), (starts) => summaryOf(starts.filter(({ dueAtMs }) => Math.abs(dueAtMs - atMs) < 0.5)))
  return {
    recurringStart: yield* startsAt(Recurring.kind, burstAtMs),
    plainStart: yield* startsAt(Plain.kind, plainAtMs),
    othersThen,
    memory: after
  }
})

const untilStarted = Effect.fnUntraced(function* (kind: string, dueAtMs: number, tasks: number) {
  const started = Effect.map(
    startsOf([kind]),
    (starts) => starts.filter((start) => Math.abs(start.dueAtMs - dueAtMs) < 0.5).length
  )
  yield* Effect.gen(function* () {
    while ((yield* started) < tasks) yield* Effect.sleep(lookMs * 5)
  }).pipe(Effect.timeoutOption(drainMsMax))
})

/** Of everything up to an instant; what is due later goes on until the engine stops. */
const judge = Effect.fnUntraced(function* (engine: EngineProcess, endMs: number) {
  const sql = yield* PgClient.PgClient
  const isOver = Effect.map(
    sql<{
      readonly left: number
    }>`SELECT (SELECT count(*) FROM duetime.due WHERE due_at <= to_timestamp(${endMs} / 1000.0))::int4
      + (SELECT count(*) FROM duetime.in_progress WHERE due_at <= to_timestamp(${endMs} / 1000.0))::int4 AS left`,
    ([row]) => row?.left === 0
  )
  yield* Effect.gen(function* () {
    while (!(yield* isOver)) yield* Effect.sleep(lookMs)
  }).pipe(Effect.timeoutOption(drainMsMax))
  yield* engine.stop
  const instants = yield* auditRecurrences(endMs)
  const { startedTwice } = yield* tallyOf(kinds)
  const { early } = summaryOf(yield* startsOf(kinds))
  const plainMissing = (yield* tallyOf([Plain.kind])).missing
  const found = yield* Effect.provide(violations, layerStore({ migrate: false }))
  return { instants, startedTwice, early, plainMissing, violations: found }
})
