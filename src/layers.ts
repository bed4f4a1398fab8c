/**
 * The composition root: the one file that knows the adapters. A program takes one of these layers, puts its handlers,
 * `Worker.layer` and `Engine.layer` on it, and runs the same way on memory, on an embedded PostgreSQL or on the real one.
 *
 *     Layer.mergeAll(reminders, Engine.layer).pipe(
 *       Layer.provide(Worker.layer({ concurrency: 50 })), Layer.provide(layerFromEnv), Layer.launch)
 */
import { PgClient } from "@effect/sql-pg"
import { Effect, Layer, Option, Redacted, References } from "effect"
import type { SqlClient } from "effect/sql/SqlClient"
import type { Broker, BrokerUnavailable } from "./broker/Broker.ts"
import type { BrokerRefused } from "./broker/BrokerError.ts"
import * as KafkaSettings from "./broker/kafka/KafkaSettings.ts"
import type { KafkaTopics } from "./broker/kafka/KafkaTopics.ts"
import * as MemoryBroker from "./broker/MemoryBroker.ts"
import { configInvalid } from "./configInvalid.ts"
import { DeadLetters } from "./DeadLetters.ts"
import { Duetime } from "./Duetime.ts"
import { ConfigInvalid } from "./DuetimeError.ts"
import {
  EmbeddedPostgres,
  type EmbeddedPostgresFailed,
  type EmbeddedPostgresUnavailable
} from "./embedded/EmbeddedPostgres.ts"
import {
  checkedDev,
  checkedKafka,
  checkedStore,
  connectionsMaxDefault,
  type DevOptions,
  fromEnv,
  type KafkaOptions,
  untrusted
} from "./layerSettings.ts"
import { Recurrences } from "./Recurrences.ts"
import * as EngineConfig from "./engine/EngineConfig.ts"
import * as MemoryStore from "./store/MemoryStore.ts"
import * as Migrations from "./store/postgres/Migrations.ts"
import { retentionDaysDefault } from "./store/postgres/partitionPlan.ts"
import * as PgProjections from "./store/postgres/PgProjections.ts"
import * as PgVitals from "./store/postgres/PgVitals.ts"
import * as PgRetention from "./store/postgres/PgRetention.ts"
import * as PgTaskStore from "./store/postgres/PgTaskStore.ts"
import * as Pool from "./store/postgres/pool.ts"
import * as Roles from "./store/postgres/Roles.ts"
import { orUnavailable } from "./store/postgres/sqlErrors.ts"
import type { TlsRefused } from "./store/postgres/tls.ts"
import type { Projections } from "./store/Projections.ts"
import type { RecurrenceStore } from "./store/RecurrenceStore.ts"
import type { Retention } from "./store/Retention.ts"
import { reopening } from "./store/reopening.ts"
import type { Session } from "./store/Session.ts"
import type {
  SchemaNewer,
  SchemaOutdated,
  ServerTooOld,
  StoreUnavailable,
  TimeZonesOutdated,
  UnsafeDurability
} from "./store/StoreError.ts"
import type { TaskStore } from "./store/TaskStore.ts"
import type { Vitals } from "./store/Vitals.ts"
import { CommitSql } from "./worker/CommitSql.ts"

/** What engines, workers and clients stand on. */
export type Ground = Duetime | DeadLetters | Recurrences | TaskStore | RecurrenceStore | Session | Broker

/** What an application asks. */
const clients = Layer.merge(DeadLetters.layer.pipe(Layer.provideMerge(Duetime.layer)), Recurrences.layer)

export type StoreFailure =
  | StoreUnavailable
  | ServerTooOld
  | SchemaOutdated
  | SchemaNewer
  | UnsafeDurability
  | TimeZonesOutdated
export type BrokerFailure = BrokerUnavailable | BrokerRefused
export { KafkaTopics } from "./broker/kafka/KafkaTopics.ts"

const trusted = <A>(
  pool: Layer.Layer<A, StoreUnavailable | TlsRefused>
): Layer.Layer<A, StoreUnavailable | ConfigInvalid> =>
  Layer.catchTag(pool, "TlsRefused", (refusal) => Layer.effectContext(Effect.fail(untrusted(refusal))))

/** What the store does by itself; what it is asked for is traced with whoever asks. */
const untracedStore = Layer.succeed(References.TracerEnabled, false)

const clientAt = (address: Pool.Address, maxConnections: number) => trusted(Pool.layer(address, maxConnections))

/** Everything in memory, gone with the process: for tests and for trying things out. */
export const layerMemory: Layer.Layer<Ground> = clients.pipe(
  Layer.provideMerge(Layer.mergeAll(MemoryStore.layer, MemoryBroker.layer))
)

/**
 * On the application's own `PgClient`: scheduling and transactional handlers join the transactions made with it.
 * Dispatch stays in the process, unless `broker` says otherwise:
 *
 *     layerPostgres({ broker: layerKafka({ brokers: ["kafka-1:9092"] }) })
 */
export const layerPostgres = <E = never>(
  postgresOptions: PgTaskStore.PgStoreOptions & { readonly broker?: Layer.Layer<Broker, E> } = {}
): Layer.Layer<Ground, StoreFailure | ConfigInvalid | E, PgClient.PgClient> =>
  Layer.unwrap(
    Effect.map(checkedStore(postgresOptions), () => {
      const { broker = MemoryBroker.layer, ...options } = postgresOptions
      return Layer.mergeAll(clients, Layer.effect(CommitSql, PgClient.PgClient)).pipe(
        Layer.provideMerge(Layer.mergeAll(PgTaskStore.layer(options).pipe(Layer.provide(untracedStore)), broker))
      )
    })
  )

/**
 * Dispatch through Kafka, so that engines and workers may live in processes of their own. Only `brokers` is needed; defaults as
 * for DUETIME_KAFKA_ variables. The client library is loaded here and not before: a program without Kafka does not need it.
 */
export const layerKafka = (settings: KafkaOptions): Layer.Layer<Broker | KafkaTopics, BrokerFailure | ConfigInvalid> =>
  Layer.unwrap(
    Effect.map(Effect.andThen(checkedKafka(settings), kafkaBroker), (KafkaBroker) =>
      KafkaBroker.layer({ ...KafkaSettings.defaults, ...settings })
    )
  )

const kafkaBroker = Effect.tryPromise({
  try: () => import("./broker/kafka/KafkaBroker.ts"),
  catch: () =>
    new ConfigInvalid({
      name: "DUETIME_KAFKA_BROKERS",
      problem: "needs the package kafkajs, which is not installed",
      wayOut: "Run npm install kafkajs, or leave the variable out: dispatch then stays in the process"
    })
})

/**
 * Configured by DUETIME_ variables (docs/reference/config.md): dispatch goes through Kafka if DUETIME_KAFKA_BROKERS is set, and
 * otherwise stays in the process. A database that cannot be reached is waited for, since engines and workers may be
 * started before it.
 */
export const layerFromEnv: Layer.Layer<
  Ground | PgClient.PgClient | SqlClient,
  StoreFailure | BrokerFailure | ConfigInvalid
> = Layer.unwrap(
  Effect.map(fromEnv, ({ address, connectionsMax, engine, kafka, options }) => {
    const broker = Option.match(kafka, { onNone: () => MemoryBroker.layer, onSome: layerKafka })
    const store = layerPostgres<BrokerFailure | ConfigInvalid>({ ...options, broker }).pipe(
      Layer.provideMerge(trusted(Pool.reachable(Pool.layer(address, connectionsMax))))
    )
    return Layer.merge(reopening(store), Layer.succeed(EngineConfig.EngineConfig, engine))
  })
)

/**
 * A real PostgreSQL that needs no installation, started in a folder of its own and stopped with the scope. The data stays.
 */
export const layerDev = (
  options: DevOptions = {}
): Layer.Layer<
  Ground | PgClient.PgClient | SqlClient | EmbeddedPostgres,
  StoreFailure | ConfigInvalid | EmbeddedPostgresFailed | EmbeddedPostgresUnavailable
> =>
  Layer.unwrap(
    Effect.map(checkedDev(options), () =>
      layerPostgres({ migrate: true, ...options.store }).pipe(
        Layer.provideMerge(
          Layer.unwrap(
            Effect.map(EmbeddedPostgres, ({ url }) =>
              Pool.untried({ url: Redacted.make(url), tls: undefined }, connectionsMaxDefault)
            )
          )
        ),
        Layer.provideMerge(
          EmbeddedPostgres.layer({
            dataDirectory: options.dataDirectory ?? ".duetime/postgres",
            ...(options.postgresSettings === undefined ? {} : { settings: options.postgresSettings })
          })
        )
      )
    )
  )

/** For tools: no session, nothing runs, and a database that cannot be reached is an error at once. */
export const layerClient: Layer.Layer<
  Duetime | DeadLetters | Recurrences | TaskStore | RecurrenceStore | PgClient.PgClient,
  StoreFailure | ConfigInvalid
> = Layer.unwrap(
  Effect.map(fromEnv, ({ address, options }) =>
    clients.pipe(
      Layer.provideMerge(PgTaskStore.layerStore({ ...options, connectionsMax: 2 })),
      Layer.provideMerge(clientAt(address, 2))
    )
  )
)

/** For the auditor and the rebuild: events and rows side by side. It asks for no durability, for it acknowledges nothing. */
export const layerProjections: Layer.Layer<Projections, StoreFailure | ConfigInvalid> = Layer.unwrap(
  Effect.map(fromEnv, ({ address }) => PgProjections.layer.pipe(Layer.provide(clientAt(address, 1))))
)

/** For the doctor and those who look after the database: it asks for no tables, nor for durability, since it looks for what is missing. */
export const layerVitals: Layer.Layer<Vitals, StoreUnavailable | ConfigInvalid> = Layer.unwrap(
  Effect.map(fromEnv, ({ address, options }) =>
    PgVitals.layer(options.retentionDays ?? retentionDaysDefault).pipe(Layer.provide(clientAt(address, 1)))
  )
)

/**
 * For looking at handlers without running them: what their layers schedule or declare goes to a store in memory, and reaches nobody. The
 * SQL client that they may ask for is the real one. Fresh: beside a client of PostgreSQL the memoized one of the two would be taken.
 */
export const layerRehearsal: Layer.Layer<Ground | PgClient.PgClient | SqlClient, StoreUnavailable | ConfigInvalid> =
  Layer.merge(Layer.fresh(layerMemory), Layer.unwrap(Effect.map(fromEnv, ({ address }) => clientAt(address, 1))))

/** For what is done to days of history by hand. */
export const layerRetention: Layer.Layer<Retention, StoreFailure | ConfigInvalid> = Layer.unwrap(
  Effect.map(fromEnv, ({ address, options }) =>
    PgRetention.layer(options.retentionDays ?? retentionDaysDefault).pipe(Layer.provide(clientAt(address, 2)))
  )
)

/** What an engine, worker or program with `layerFromEnv` may open: the application's pool, the store's, and one for the lease. */
export const connectionsPerProcess = Effect.map(
  fromEnv,
  ({ connectionsMax }) => connectionsMax + PgTaskStore.connectionsMaxDefault + 1
)

/** None: dispatch stays in the process. */
export const kafkaFromEnv = KafkaSettings.config.pipe(Effect.catchTag("ConfigError", configInvalid))

/** What separate engines and workers, and all that looks at topics, cannot do without. */
export const requireKafka = (wayOut: string): Effect.Effect<KafkaSettings.KafkaSettings, ConfigInvalid> =>
  Effect.flatMap(
    kafkaFromEnv,
    Option.match({
      onNone: () => Effect.fail(new ConfigInvalid({ name: "DUETIME_KAFKA_BROKERS", problem: "is not set", wayOut })),
      onSome: Effect.succeed
    })
  )

/** For tools: Kafka's topics alone, without a database; a cluster that cannot be reached is an error at once. */
export const layerTopics: Layer.Layer<KafkaTopics, BrokerFailure | ConfigInvalid> = Layer.unwrap(
  Effect.map(requireKafka("Set it, for example to localhost:9092"), (settings) =>
    layerKafka({ ...settings, mayBeAway: false })
  )
)

const clientFromEnv = Layer.unwrap(Effect.map(fromEnv, ({ address }) => clientAt(address, 2)))

/** What `duetime migrate` does and would do. */
export const migrations = {
  pending: Effect.suspend(() => Effect.provide(Migrations.pending, clientFromEnv)),
  apply: Effect.suspend(() => Effect.provide(Migrations.migrate, clientFromEnv)).pipe(
    Effect.map((applied) => applied.map(([id, name]) => ({ id, name })))
  )
}

/** What `duetime roles` does. */
export const roles = {
  names: Roles.roleNames,
  apply: (prefix: string) =>
    Effect.suspend(() => Effect.provide(orUnavailable("roles")(Roles.apply(prefix)), clientFromEnv))
}
