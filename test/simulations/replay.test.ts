/** A few histories of `npm run simulate:replay`, and proof that it can fail: a simulated store, a publisher that does something else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as path from "node:path"
import { mutants } from "../../simulations/mutants/mutants.ts"
import { Renaming } from "../../simulations/replay/Renaming.ts"
import { replaySeed } from "../../simulations/replay/replay.ts"
import { replayedKafka } from "../../simulations/replay/replayedKafka.ts"
import { replayedPostgres } from "../../simulations/replay/replayedPostgres.ts"
import { reportOf } from "../../simulations/replay/report.ts"
import type { Broker } from "../../src/broker/Broker.ts"
import { dispatchOf } from "../broker/Broker.contract.ts"
import { databaseOnly, TestDatabase } from "../setup/database.ts"
import { onKafka } from "../setup/kafka.ts"

const timeout = 300_000

const postgres = Effect.gen(function* () {
  const { database, port, socketDirectory: host, username } = yield* TestDatabase
  return yield* replayedPostgres({ host, port, username, database })
})

onKafka("a simulated history", ({ brokers }) => {
  it.live(
    "is the same on real servers, with its failovers, recurrences, direct starts and a rebalance",
    () =>
      Effect.gen(function* () {
        const servers = { postgres: yield* postgres, kafka: yield* replayedKafka(brokers) }
        const replayed = []
        for (const seed of seeds) replayed.push(yield* replaySeed(seed, servers, { rebalances: seed === seeds[0] }))
        const kafka = yield* servers.kafka.judge
        const report = reportOf({ runs: seeds.length, seed: 0, isWithKafka: true }, { replayed, kafka }, 0, false)
        assert.deepStrictEqual(report.differences, [])
        assert.deepStrictEqual(kafka.problems, [])
        assert.isTrue(report.ok)
        assert.isAbove(report.failovers, 0)
        assert.strictEqual(kafka.rebalancesCount, 1)
        assert.strictEqual(kafka.storedCount, report.dispatches)
        for (const name of ["start", "finish", "claim", "expire", "renew", "settle", "startDue"])
          assert.isAbove(report.calls[name] ?? 0, 0, name)
      }).pipe(Effect.provide(databaseOnly()), Effect.scoped),
    timeout
  )

  const judgedWith = (broken: (broker: Broker["Service"]) => Broker["Service"]) =>
    Effect.gen(function* () {
      const kafka = yield* replayedKafka(brokers, broken)
      const dispatch = dispatchOf({ queue: "default" })
      yield* kafka.publish([dispatch])
      const arrived = yield* kafka.arrived([dispatch.fence.eventId])
      return { arrived, problems: (yield* kafka.judge).problems }
    }).pipe(Effect.scoped)

  it.live(
    "is found to differ when Kafka carries another due time than was published",
    () =>
      Effect.gen(function* () {
        const { arrived, problems } = yield* judgedWith((broker) => ({
          ...broker,
          publish: (batch) => broker.publish(batch.map((dispatch) => ({ ...dispatch, dueAtMs: dispatch.dueAtMs + 1 })))
        }))
        assert.include(arrived, "is not one that was published")
        assert.isNotEmpty(problems)
      }),
    timeout
  )

  it.live(
    "is found to differ when a dispatch lies twice in its topic",
    () =>
      Effect.gen(function* () {
        const { arrived, problems } = yield* judgedWith((broker) => ({
          ...broker,
          publish: (batch) => Effect.andThen(broker.publish(batch), broker.publish(batch))
        }))
        assert.isNull(arrived)
        assert.include(problems[0], "1 dispatches were published, 2 are stored")
      }),
    timeout
  )
})

/** Dispatches and leases that ended, failovers, direct starts; each of them with recurrences, and small. */
const seeds = [135, 138, 29]

describe("a replay on PostgreSQL", () => {
  it.live(
    "names the step at which a simulated store has done something else",
    () =>
      Effect.gen(function* () {
        const breakage = mutants.find(({ name }) => name === "start-won-twice")?.breakage
        assert.isDefined(breakage)
        const servers = { postgres: yield* postgres, kafka: null }
        const { difference } = yield* replaySeed(mutantSeed, servers, { breakage })
        assert.include(difference, { where: "answer" })
        assert.isNumber(difference?.step)
        assert.include(difference?.call, "start ")
      }).pipe(Effect.provide(databaseOnly()), Effect.scoped),
    timeout
  )

  it("is a command that exits with 1 where the servers differ, and says how to see it again", { timeout }, () => {
    const main = path.resolve(import.meta.dirname, "../../simulations/replay/main.ts")
    const flags = ["--runs", "1", "--seed", String(mutantSeed), "--no-kafka", "--mutant", "start-won-twice", "--json"]
    const { status, stdout } = spawnSync(process.execPath, [main, ...flags], { encoding: "utf8" })
    assert.strictEqual(status, 1)
    const report = JSON.parse(stdout)
    assert.deepInclude(report, { ok: false, histories: 1, kafka: null })
    assert.strictEqual(
      report.differences[0].command,
      `npm run simulate:replay -- --runs 1 --seed ${mutantSeed} --no-kafka --mutant start-won-twice`
    )
  })
})

const mutantSeed = 15

describe("ids in a replay", () => {
  const [caller, drawn, other, another] = [1, 2, 3, 4].map(
    (digit) => `${digit}`.repeat(8) + "-1111-4111-8111-111111111111"
  )

  it("that a caller has named are the same on both sides", () => {
    const renaming = new Renaming()
    renaming.as({ eventId: caller })
    assert.isNull(renaming.difference({ eventId: caller }, { eventId: caller }))
    assert.isNotNull(renaming.difference({ eventId: caller }, { eventId: other }))
  })

  it("that a store draws are learned once, are nobody else's, and are drawn anew after a failover", () => {
    const renaming = new Renaming()
    assert.isNull(renaming.difference({ eventId: drawn }, { eventId: other }))
    assert.strictEqual(renaming.as(drawn), other)
    assert.isNotNull(renaming.difference({ eventId: drawn }, { eventId: another }))
    assert.isNotNull(renaming.difference({ eventId: caller }, { eventId: other }))
    renaming.restart()
    assert.strictEqual(renaming.as(drawn), other)
    assert.isNull(renaming.difference({ eventId: drawn }, { eventId: another }))
    assert.strictEqual(renaming.as(drawn), another)
  })
})
