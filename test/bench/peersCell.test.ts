import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { inCell } from "../../bench/peers/cell.ts"
import type { BenchTask } from "../../bench/peers/contestant.ts"
import { tallyOf } from "../../bench/peers/tally.ts"
import { server } from "../../bench/server.ts"

const databases = PgClient.PgClient.use((sql) =>
  Effect.map(
    sql<{ readonly name: string }>`SELECT datname::text AS name FROM pg_database WHERE datname LIKE 'bench%'`,
    (rows) => rows.map(({ name }) => name)
  )
)

const isAlive = (processId: number): boolean => {
  try {
    return process.kill(processId, 0)
  } catch {
    return false
  }
}

layer(server, { timeout: 60_000, excludeTestServices: true })("a cell of the harness", (it) => {
  for (const peer of ["duetime", "effect-queue"] as const) {
    it.effect(`has ${peer} run what another process schedules, each once and none before it is due`, () =>
      Effect.gen(function* () {
        const dueInMs = 3_000
        const { remains, value } = yield* inCell({ peer, mode: "fast" }, ({ counted, producer, worker }) =>
          Effect.gen(function* () {
            const { ask } = yield* producer
            yield* worker.ask({ ask: "serve", kind: "measured" })
            const dueAtMs = Date.now() + dueInMs
            const tasks = Array.from({ length: 60 }, (_, n): BenchTask => ({ n, dueAtMs: dueAtMs + n, rank: null }))
            counted(tasks.length)
            yield* ask({ ask: "schedule", kind: "measured", tasks })
            const settled = yield* worker.ask({ ask: "settle", kind: "measured", wanted: 60, limitMs: 15_000 })
            const starts = yield* worker.ask({ ask: "starts", kind: "measured" })
            const { firstAtMs, ...counts } = tallyOf(starts, 60)
            return {
              counts,
              isOver: settled.isOver,
              early: firstAtMs.filter((atMs, n) => atMs < dueAtMs + n).length,
              processes: [worker.processId]
            }
          })
        )
        assert.isTrue(value.isOver)
        assert.deepStrictEqual(value.counts, { started: 60, missing: 0, startedTwice: 0 })
        assert.strictEqual(value.early, 0)
        assert.isAbove(remains.residentMiB, 10)
        assert.isAbove(remains.commitsPerTask ?? 0, 0)
        assert.strictEqual(remains.buffersPerClaim !== null, peer === "duetime", "only duetime claims")
        assert.deepStrictEqual(value.processes.filter(isAlive), [])
        assert.deepStrictEqual(yield* databases, [])
      })
    )
  }

  it.effect("fails with a sentence when a contestant dies, and leaves neither process nor database", () =>
    Effect.gen(function* () {
      const failure = yield* inCell({ peer: "effect-queue", mode: "fast" }, ({ worker }) =>
        Effect.gen(function* () {
          yield* worker.ask({ ask: "serve", kind: "measured" })
          process.kill(worker.processId, "SIGKILL")
          return yield* worker.ask({ ask: "settle", kind: "measured", wanted: 1, limitMs: 10_000 })
        })
      ).pipe(Effect.flip)
      assert.match(String(failure), /settle: the process (has )?ended/)
      assert.deepStrictEqual(yield* databases, [])
    })
  )
})
