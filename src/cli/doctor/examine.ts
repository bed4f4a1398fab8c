/** Reads the vitals and judges them: one line per check, so that what the doctor looks at is what stands here. */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { connectionsPerProcess, kafkaFromEnv, layerTopics, KafkaTopics } from "../../layers.ts"
import type { Vitals, WaitingKind } from "../../store/Vitals.ts"
import { word, type Finding } from "./Finding.ts"
import { fitsOf } from "./handlers.ts"
import * as Kafka from "./kafka.ts"
import { payloads } from "./payloads.ts"
import * as Server from "./server.ts"
import * as Stored from "./stored.ts"
import * as Work from "./work.ts"

export type Examination = {
  readonly findings: ReadonlyArray<Finding>
  /** Ids of the checks that were made, in their order. */
  readonly checks: ReadonlyArray<string>
  /** Ids of those that were not, and why. */
  readonly skipped: ReadonlyArray<{ readonly check: string; readonly why: string }>
  readonly payloadsCount: number | null
}

export type ExamineOptions = {
  readonly tasks: string | undefined
  readonly daysAhead: number
  readonly snapshotAgeMs: number
}

type Judged = { readonly checks: ReadonlyArray<string>; readonly findings: ReadonlyArray<Finding> }

export const examine = Effect.fnUntraced(function* (vitals: Vitals["Service"], options: ExamineOptions) {
  const kafkaSettings = yield* kafkaFromEnv
  const isUnsafeAllowed = yield* Config.Boolean("DUETIME_UNSAFE_DURABILITY").pipe(
    Config.withDefault(false),
    Effect.orElseSucceed(() => false)
  )
  const start = Option.isSome(kafkaSettings) ? "worker" : "run"
  const worker = `duetime ${start} --tasks ${options.tasks === undefined ? "<module>" : word(options.tasks)}`
  const engine = Option.isSome(kafkaSettings) ? "duetime engine" : worker

  const server = yield* vitals.server
  const schema = yield* vitals.schema
  const first = judged({
    durability: Server.durability(server, isUnsafeAllowed),
    autovacuum: Server.autovacuum(server),
    clock: Server.clockOffset(server),
    connections: [...Server.connections(server), ...Server.connectionBudget(server, yield* connectionsPerProcess)],
    snapshot: Server.snapshots(yield* vitals.snapshots, options.snapshotAgeMs),
    migrations: Stored.migrations(schema)
  })
  if (!schema.fits) {
    const why = "the tables are not those of this version"
    return examined(
      [first],
      [...ofTables, ...ofKafka, ofCode].map((check) => ({ check, why })),
      null
    )
  }
  const kinds = yield* vitals.waiting
  const second = judged({
    schema: Stored.schema(schema),
    partitions: Stored.partitions(yield* vitals.partitions, options.daysAhead),
    bloat: Stored.bloat(yield* vitals.tables),
    sessions: Work.sessions(yield* vitals.silentSessions, engine),
    unserved: Work.unserved(kinds, worker),
    overdue: Work.overdue(kinds, worker),
    paused: Work.paused(kinds),
    parked: Work.parked(kinds),
    "dead-letters": Work.deadLetters(kinds)
  })
  const third = Option.isSome(kafkaSettings) ? yield* ofBroker(kinds, worker) : undefined
  const fourth = options.tasks === undefined ? undefined : yield* ofModule(vitals, options.tasks)
  return examined(
    [first, second, ...(third === undefined ? [] : [third]), ...(fourth === undefined ? [] : [fourth])],
    [
      ...(third === undefined ? ofKafka.map((check) => ({ check, why: "DUETIME_KAFKA_BROKERS is not set" })) : []),
      ...(fourth === undefined ? [{ check: ofCode, why: "needs --tasks <module>" }] : [])
    ],
    fourth?.lookedAt ?? null
  )
})

const ofTables = [
  "schema",
  "partitions",
  "bloat",
  "sessions",
  "unserved",
  "overdue",
  "paused",
  "parked",
  "dead-letters"
]
const ofKafka = ["topics", "consumers"]
const ofCode = "payloads"

const ofBroker = (kinds: ReadonlyArray<WaitingKind>, worker: string) =>
  KafkaTopics.use((kafka) => Kafka.readTopics(kafka, Kafka.queuesOf(kinds))).pipe(
    Effect.map((queues) => judged({ topics: Kafka.topics(queues), consumers: Kafka.consumers(queues, worker) })),
    Effect.provide(layerTopics),
    Effect.catchTag(["BrokerUnavailable", "BrokerRefused"], (error) =>
      Effect.succeed(judged({ topics: [Kafka.unreachable(error.reason)], consumers: [] }))
    )
  )

const ofModule = Effect.fnUntraced(function* (vitals: Vitals["Service"], module: string) {
  const { findings, lookedAt } = yield* payloads(vitals, module, yield* fitsOf(module))
  return { ...judged({ [ofCode]: findings }), lookedAt }
}, Effect.scoped)

const judged = (findings: Readonly<Record<string, ReadonlyArray<Finding>>>): Judged => ({
  checks: Object.keys(findings),
  findings: Object.values(findings).flat()
})

/** Problems first, each in the order of the checks: what stands further up is often why the rest is so. */
const examined = (
  parts: ReadonlyArray<Judged>,
  skipped: Examination["skipped"],
  payloadsCount: number | null
): Examination => {
  const findings = parts.flatMap((part) => part.findings)
  return {
    findings: [
      ...findings.filter(({ severity }) => severity === "problem"),
      ...findings.filter(({ severity }) => severity === "warning")
    ],
    checks: parts.flatMap((part) => part.checks),
    skipped,
    payloadsCount
  }
}
