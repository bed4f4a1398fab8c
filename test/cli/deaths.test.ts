/**
 * Goal: a task that kills every process that runs it costs three of them, and no task beside it anything but time. Method: an
 * engine and two workers as processes, a handler that sends SIGKILL to its own process while others are running there, and
 * workers that are started again whenever they die, as a service manager does. No broker can be reached, so all is pulled.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { isSuspect } from "../../src/core/deaths.ts"
import { evolve } from "../../src/core/evolve.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import { database } from "../setup/database.ts"
import { environment, logged, role, schedule, until } from "./roleProcess.ts"
import { runCli } from "./runCli.ts"

const innocentsCount = 8
/** Six processes start, and three leases end, on a machine that may be busy with other tests. */
const timeoutMs = 240_000
/** Longer than a busy machine lets a living process wait: a lease that it loses would be a death, too. */
const env = { DUETIME_KAFKA_BROKERS: "127.0.0.1:1", DUETIME_LEASE: "4 seconds" }

layer(database(), { excludeTestServices: true })("a task that kills the process that runs it", (it) => {
  it.effect(
    "is quarantined after three deaths, and every task that ran beside it succeeds",
    () =>
      Effect.gen(function* () {
        const engine = yield* role(["engine"], env)
        yield* logged(engine, /engine started/)
        const poison = yield* schedule("poison")
        const innocents = yield* Effect.forEach(Array.from({ length: innocentsCount }), () => schedule("innocent"))

        let killedCount = 0
        const worker = Effect.scoped(
          Effect.gen(function* () {
            const started = yield* role(["worker", "--tasks", "test/cli/modules/poison.ts", "--concurrency", "20"], env)
            const ended = yield* Effect.promise(() => started.ended)
            assert.deepStrictEqual(ended, { status: null, signal: "SIGKILL" }, started.stderr)
            killedCount++
          })
        )
        const workers = yield* Effect.forkScoped(
          Effect.all([Effect.forever(worker), Effect.forever(worker)], { concurrency: 2, discard: true })
        )
        const sql = yield* PgClient.PgClient
        const over = sql<{ readonly n: number }>`SELECT count(*)::int4 AS n FROM duetime.event WHERE type IN (30, 31)`
        yield* until(Effect.map(over, ([row]) => row?.n === 1 + innocentsCount))
        yield* Fiber.interrupt(workers)

        assert.strictEqual(killedCount, 3)
        const culprit = yield* taskOf(poison)
        assert.deepStrictEqual(
          [culprit.task.stage, culprit.task.deadReason, culprit.task.attempts],
          ["dead", "quarantined", 3]
        )
        const histories = yield* Effect.forEach(innocents, taskOf)
        assert.deepStrictEqual(
          histories.map(({ task }) => task.stage),
          innocents.map(() => "succeeded")
        )
        const beside = histories.filter(({ events }) => statesOf(events).some(({ deaths }) => isSuspect(deaths)))
        assert.isAbove(beside.length, 0, "innocent tasks have died twice, and would have died a third time")
        assertApart([culprit, ...histories].flatMap(({ events }) => suspectRunsOf(events)))
        const { status, stderr } = yield* runCli(["audit", "--policies", "--json"], yield* environment)
        assert.strictEqual(status, 0, stderr)
      }),
    timeoutMs
  )
})

type Told = {
  readonly task: { readonly stage: string; readonly deadReason: string | null; readonly attempts: number }
  readonly events: ReadonlyArray<TaskEvent>
}

const taskOf = Effect.fnUntraced(function* (id: string) {
  const { stdout } = yield* runCli(["task", id, "--json"], yield* environment)
  return JSON.parse(stdout) as Told
})

const statesOf = (events: ReadonlyArray<TaskEvent>): ReadonlyArray<TaskState> => {
  let state: TaskState | null = null
  return events.map((event): TaskState => (state = evolve(state, event)))
}

type Run = { readonly sessionId: number; readonly fromMs: number; readonly toMs: number }

/** When and where a task ran as a suspect, as its history tells. */
const suspectRunsOf = (events: ReadonlyArray<TaskEvent>): ReadonlyArray<Run> => {
  const states = statesOf(events)
  return events.flatMap((event, index): ReadonlyArray<Run> => {
    const end = events[index + 1]
    const isMeant = event._tag === "AttemptStarted" && isSuspect(states[index]?.deaths ?? 0)
    if (!isMeant || end === undefined) return []
    return [{ sessionId: event.sessionId, fromMs: event.atMs, toMs: end.atMs }]
  })
}

const assertApart = (runs: ReadonlyArray<Run>) => {
  for (const [index, one] of runs.entries()) {
    for (const other of runs.slice(index + 1)) {
      const isTogether = one.sessionId === other.sessionId && one.fromMs < other.toMs && other.fromMs < one.toMs
      assert.isFalse(isTogether, `two suspects ran together: ${JSON.stringify([one, other])}`)
    }
  }
}
