/**
 * One run: PostgreSQL, Kafka, engines and workers as processes of their own; load; faults; then all is made whole, everything
 * comes to its end, and the judge speaks.
 *
 *   this process ─schedule─▶ PostgreSQL ◀═claim═ 2 engines ═hints═▶ Kafka ═▶ 3 workers ─calls─▶ this process, the outside
 *                                 ▲                                              ‖
 *                                 '══════════════ start, outcome, effect ════════'     ═ through a proxy of ours
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Layer, Redacted } from "effect"
import * as path from "node:path"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { Duetime } from "../../src/index.ts"
import * as PgTaskStore from "../../src/store/postgres/PgTaskStore.ts"
import { drain } from "./drain.ts"
import { membersCount, startFleet } from "./fleet.ts"
import { inject } from "./inject.ts"
import { startKafka } from "./kafka.ts"
import { load, openClient } from "./load.ts"
import { openNetwork } from "./network.ts"
import { openOutside } from "./outside.ts"
import { planOf } from "./plan.ts"
import { reportOf } from "./report.ts"
import { verdictOf } from "./verdict.ts"
import { untilWhole } from "./whole.ts"

export type ChaosOptions = {
  readonly seed: number
  readonly minutes: number
  readonly ratePerSecond: number
  /** Of the data of both servers and of the log. */
  readonly directory: string
  readonly tell: (what: string) => void
}

/** Of two engines, three workers, what was killed or cut off and lingers, and this process with two pools. */
const connectionsMax = 500

const run = Effect.fnUntraced(function* ({ directory, minutes, ratePerSecond, seed, tell }: ChaosOptions) {
  const plan = planOf(seed, minutes)
  const sql = yield* PgClient.PgClient
  const postgres = yield* EmbeddedPostgres
  yield* sql`CREATE SCHEMA chaos`
  // Without a key: what is written twice shall be seen twice.
  yield* sql`CREATE TABLE chaos.effect (task_id uuid NOT NULL, attempt int4 NOT NULL)`
  const outside = yield* openOutside
  // Kafka tells its clients to come to the proxies, which therefore are there before it.
  let kafkaPorts = (): ReadonlyArray<number> => []
  const network = yield* openNetwork(membersCount, {
    PostgreSQL: () => ({ path: path.join(postgres.socketDirectory, `.s.PGSQL.${postgres.port}`) }),
    Kafka: (n) => ({ host: "127.0.0.1", port: kafkaPorts()[n] ?? 0 })
  })
  tell("Kafka starts")
  const kafka = yield* startKafka(path.join(directory, "kafka"), network.ports("Kafka"))
  kafkaPorts = () => kafka.proxiedPorts
  tell("engines and workers start")
  const fleet = yield* startFleet({
    databaseUrl: (n) =>
      `postgresql://${postgres.username}@127.0.0.1:${network.ports("PostgreSQL")[n]}/${postgres.database}`,
    brokers: (n) => `127.0.0.1:${network.ports("Kafka")[n]}`,
    outsideUrl: outside.url,
    log: path.join(directory, "fleet.log"),
    compileCache: path.join(directory, "compile-cache")
  })

  const client = yield* openClient
  tell("the load begins")
  const [injected] = yield* Effect.all(
    [inject(plan, { fleet, kafka, network, tell }), load(client, { seed, ratePerSecond, durationMs: plan.durationMs })],
    { concurrency: 2 }
  )
  tell("all is whole again; waiting until everything is over")
  const healedAtMs = yield* Clock.currentTimeMillis
  const isOver = yield* drain(client.ledger)
  const drainMs = (yield* Clock.currentTimeMillis) - healedAtMs
  const leaseless = yield* untilWhole(fleet)
  tell("engines and workers stop")
  yield* fleet.stop
  tell("judging")
  const verdict = yield* verdictOf(client.ledger, outside, injected, fleet)
  return reportOf({ plan, ratePerSecond, injected, ledger: client.ledger, fleet, isOver, drainMs, leaseless, verdict })
}, Effect.scoped)

export const chaos = (options: ChaosOptions) => {
  const postgres = EmbeddedPostgres.layer({
    dataDirectory: path.join(options.directory, "postgres"),
    settings: { max_connections: connectionsMax }
  })
  const client = Layer.unwrap(
    Effect.map(EmbeddedPostgres, ({ url }) =>
      PgClient.layer({ url: Redacted.make(url), maxConnections: 4, applicationName: "chaos" })
    )
  )
  const ground = Duetime.layer.pipe(
    Layer.provideMerge(PgTaskStore.layerStore({ migrate: true })),
    Layer.provideMerge(client),
    Layer.provideMerge(postgres)
  )
  options.tell("PostgreSQL starts")
  return Effect.provide(run(options), ground)
}
