/** One run: PostgreSQL, Kafka, and processes that are hit at named points of the protocol; then a drain, and the judgement. */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Layer, Redacted } from "effect"
import * as path from "node:path"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { Duetime } from "../../src/index.ts"
import * as PgTaskStore from "../../src/store/postgres/PgTaskStore.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { drain } from "../chaos/drain.ts"
import { startKafka } from "../chaos/kafka.ts"
import { openOutside } from "../chaos/outside.ts"
import { Hits } from "./hits.ts"
import { hunt, leaseMs } from "./hunt.ts"
import { openClient } from "./load.ts"
import type { Point } from "./points.ts"
import { storeWith } from "./ports.ts"
import { reportOf } from "./report.ts"
import { Trigger } from "./Trigger.ts"
import { verdictOf } from "./verdict.ts"

export type CrashPointsOptions = {
  readonly seed: number
  readonly hits: number
  readonly points: ReadonlyArray<Point>
  /** Until all is over after the last hit. */
  readonly drainMs: number
  /** Of the data of both servers, of the log and of the hits. */
  readonly directory: string
  readonly tell: (what: string) => void
}

/** Of thirty processes with up to nineteen each. */
const connectionsMax = 600

const run = Effect.fnUntraced(function* (options: CrashPointsOptions) {
  const { directory, drainMs, hits: hitsWanted, points, seed, tell } = options
  const beganAtMs = yield* Clock.currentTimeMillis
  const sql = yield* PgClient.PgClient
  const { url } = yield* EmbeddedPostgres
  yield* sql`CREATE SCHEMA points`
  // Without a key: what is written twice shall be seen twice.
  yield* sql`CREATE TABLE points.effect (task_id uuid NOT NULL, attempt int4 NOT NULL)`
  const outside = yield* openOutside
  tell("Kafka starts")
  const kafka = yield* startKafka(path.join(directory, "kafka"), [])
  const hits = new Hits(path.join(directory, "hits.jsonl"))
  const client = yield* openClient(seed)
  const hunted = yield* hunt({
    points,
    hitsWanted,
    seed,
    hits,
    client,
    outsideUrl: outside.url,
    tell,
    surroundings: {
      hitsFile: path.join(directory, "hits.jsonl"),
      log: path.join(directory, "members.log"),
      env: {
        DUETIME_DATABASE_URL: url,
        DUETIME_DATABASE_CONNECTIONS: "12",
        DUETIME_LEASE: `${leaseMs} millis`,
        DUETIME_KAFKA_BROKERS: kafka.brokers,
        DUETIME_KAFKA_PARTITIONS: "2",
        DUETIME_KAFKA_CREATE_TOPICS: "true",
        DUETIME_KAFKA_SESSION_TIMEOUT: "2 seconds",
        // What is started again starts a third sooner.
        NODE_COMPILE_CACHE: path.join(directory, "compile-cache")
      }
    }
  })
  tell("waiting until everything is over")
  const isOver = yield* Effect.map(
    Effect.timeoutOption(drain(client.ledger), drainMs),
    (drained) => drained._tag === "Some" && drained.value
  )
  tell("engines and workers stop")
  yield* hunted.stop
  tell("judging")
  const verdict = yield* verdictOf(client.ledger, outside, points, hits.all)
  return reportOf({
    seed,
    hitsWanted,
    leaseMs,
    tookMs: (yield* Clock.currentTimeMillis) - beganAtMs,
    points,
    hitsOf: (point) => hits.countOf(point),
    ledger: client.ledger,
    endedByThemselves: hunted.endedByThemselves,
    processesCount: hunted.processesCount(),
    isOver,
    verdict
  })
}, Effect.scoped)

/** The client's own point: its store says that nobody knows, when all has been done. */
const clientStore = ({ directory, hits, points }: CrashPointsOptions) =>
  Layer.effect(
    TaskStore,
    Effect.gen(function* () {
      const point = points.find(({ role }) => role === "client")
      const { deed, name, place } = point ?? { deed: "lose", name: "", place: "schedule answered" }
      const arming = {
        points: [{ point: name, place, deed, kind: null, skip: 1 }],
        hits,
        leaseMs,
        hitsFile: path.join(directory, "hits.jsonl")
      }
      return storeWith(yield* TaskStore, new Trigger(point === undefined ? null : arming, yield* Clock.Clock))
    })
  )

export const crashPoints = (options: CrashPointsOptions) => {
  const postgres = EmbeddedPostgres.layer({
    dataDirectory: path.join(options.directory, "postgres"),
    settings: { max_connections: connectionsMax }
  })
  const client = Layer.unwrap(
    Effect.map(EmbeddedPostgres, ({ url }) =>
      PgClient.layer({ url: Redacted.make(url), maxConnections: 4, applicationName: "points" })
    )
  )
  const ground = Duetime.layer.pipe(
    Layer.provide(clientStore(options)),
    Layer.provideMerge(PgTaskStore.layerStore({ migrate: true })),
    Layer.provideMerge(client),
    Layer.provideMerge(postgres)
  )
  options.tell("PostgreSQL starts")
  return Effect.provide(run(options), ground)
}
