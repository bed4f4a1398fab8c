/**
 * What the layers of `layers.ts` are told, by DUETIME_ variables (docs/reference/config.md) or by options in code, read within the same
 * limits. Both are refused when the program starts: a lease of NaN ms or a misspelt `retentionDays` would show itself days later.
 */
import { Config, Duration, Effect, Option, Predicate, Redacted, Schema } from "effect"
import * as KafkaSettings from "./broker/kafka/KafkaSettings.ts"
import { configInvalid } from "./configInvalid.ts"
import { unknownNameOf } from "./core/unknownName.ts"
import { ConfigInvalid } from "./DuetimeError.ts"
import * as EngineConfig from "./engine/EngineConfig.ts"
import { shown } from "./optionValues.ts"
import { retentionDaysDefault, retentionDaysMax } from "./store/postgres/partitionPlan.ts"
import type { PgStoreOptions } from "./store/postgres/PgTaskStore.ts"
import { tlsOf, type TlsRefused } from "./store/postgres/tls.ts"
import { leaseMsDefault } from "./store/Session.ts"

const leaseMsLimits = { minimum: 1_000, maximum: 300_000 }
const connectionsMax = 1_000
/** Connections of the application's own pool; the store opens six more and one for the lease. */
export const connectionsMaxDefault = 10

const milliseconds = (name: string, defaultMs: number, { maximum, minimum }: typeof leaseMsLimits) =>
  Config.schema(
    Schema.DurationFromString.check(
      Schema.makeFilter((duration: Duration.Duration) => {
        const ms = Duration.toMillis(duration)
        return (ms >= minimum && ms <= maximum) || `${name} must lie between ${minimum} and ${maximum} ms`
      })
    ),
    name
  ).pipe(Config.map(Duration.toMillis), Config.withDefault(defaultMs))

const count = (name: string, defaultCount: number, maximum: number) =>
  Config.schema(Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum })), name).pipe(
    Config.withDefault(defaultCount)
  )

export const fromEnv = Effect.gen(function* () {
  const url = yield* Config.option(Config.Redacted("DUETIME_DATABASE_URL"))
  if (Option.isNone(url)) {
    return yield* new ConfigInvalid({
      name: "DUETIME_DATABASE_URL",
      problem: "is not set",
      wayOut: "Set it, for example to postgresql://app:secret@localhost:5432/app"
    })
  }
  // The value may hold a password and is not shown.
  if (!/^postgres(ql)?:\/\/./.test(Redacted.value(url.value)) || !URL.canParse(Redacted.value(url.value))) {
    return yield* new ConfigInvalid({
      name: "DUETIME_DATABASE_URL",
      problem: "is no PostgreSQL address",
      wayOut:
        "It reads postgresql://app:secret@localhost:5432/app, with special characters of the password percent-encoded"
    })
  }
  const tls = yield* tlsOf(Redacted.value(url.value)).pipe(Effect.mapError(untrusted))
  const options: PgStoreOptions = yield* Config.all({
    leaseMs: milliseconds("DUETIME_LEASE", leaseMsDefault, leaseMsLimits),
    retentionDays: count("DUETIME_RETENTION_DAYS", retentionDaysDefault, retentionDaysMax),
    migrate: Config.Boolean("DUETIME_MIGRATE").pipe(Config.withDefault(false)),
    unsafeDurability: Config.Boolean("DUETIME_UNSAFE_DURABILITY").pipe(Config.withDefault(false))
  })
  const poolSize = yield* count("DUETIME_DATABASE_CONNECTIONS", connectionsMaxDefault, connectionsMax)
  // Read here, so that a wrong value is said before the database is waited for.
  const engine = yield* EngineConfig.config
  const kafka = yield* KafkaSettings.config
  return { address: { url: url.value, tls }, options, connectionsMax: poolSize, engine, kafka }
}).pipe(Effect.catchTag("ConfigError", configInvalid))

export const untrusted = ({ problem, wayOut }: TlsRefused) =>
  new ConfigInvalid({ name: "DUETIME_DATABASE_URL", problem, wayOut })

/** Of each option: whether a value is one, undefined included, and what to give instead. */
type Rules<Options> = { readonly [Name in keyof Options & string]-?: Rule }
type Rule = readonly [isValid: (value: unknown) => boolean, wayOut: string, isSecret?: true]

const faultOf = (options: object, rules: Readonly<Record<string, Rule>>, path?: string): ConfigInvalid | null => {
  const at = (name: string) => (path === undefined ? name : `${path}.${name}`)
  const unknown = unknownNameOf(options, new Set(Object.keys(rules)), path)
  if (unknown !== null) {
    const problem = Predicate.isObjectOrArray(options) ? "is given" : `is ${shown(options)}`
    return new ConfigInvalid({ name: unknown.name, problem, wayOut: unknown.wayOut })
  }
  for (const [name, [isValid, wayOut, isSecret]] of Object.entries(rules)) {
    const value: unknown = Reflect.get(options, name)
    if (isValid(value)) continue
    return new ConfigInvalid({
      name: at(name),
      problem: `is ${isSecret === true ? "no secret" : shown(value)}`,
      wayOut
    })
  }
  return null
}

const failing = (fault: ConfigInvalid | null): Effect.Effect<void, ConfigInvalid> =>
  fault === null ? Effect.void : Effect.fail(fault)

const optional = (isValid: (value: unknown) => boolean) => (value: unknown) => value === undefined || isValid(value)
const whole = (minimum: number, maximum: number): Rule => [
  optional((value) => Number.isInteger(value) && Number(value) >= minimum && Number(value) <= maximum),
  `Give a whole number from ${minimum} to ${maximum}, or leave it out`
]
const flag: Rule = [optional(Predicate.isBoolean), "Give true or false, or leave it out"]
const text: Rule = [optional((value) => Predicate.isString(value) && value !== ""), "Give a text, or leave it out"]
/** A structure, whose own rules tell more. */
const toldApart: Rule = [() => true, ""]

const storeRules: Rules<PgStoreOptions> = {
  leaseMs: whole(leaseMsLimits.minimum, leaseMsLimits.maximum),
  retentionDays: whole(1, retentionDaysMax),
  connectionsMax: whole(1, connectionsMax),
  migrate: flag,
  unsafeDurability: flag
}

/** Of `layerPostgres`, beside whose options a broker may stand. */
export const checkedStore = (options: PgStoreOptions): Effect.Effect<void, ConfigInvalid> =>
  failing(faultOf(options, { ...storeRules, broker: toldApart }))

export type DevOptions = {
  /** Default `.duetime/postgres` in the working folder. */
  readonly dataDirectory?: string
  readonly postgresSettings?: Readonly<Record<string, string | number | boolean>>
  readonly store?: PgStoreOptions
}

const devRules: Rules<DevOptions> = {
  dataDirectory: text,
  postgresSettings: [optional(Predicate.isObject), "Give an object, such as { shared_buffers: '256MB' }"],
  store: toldApart
}

export const checkedDev = (options: DevOptions): Effect.Effect<void, ConfigInvalid> =>
  failing(faultOf(options, devRules) ?? faultOf(options.store ?? {}, storeRules, "store"))

export type KafkaOptions = Pick<KafkaSettings.KafkaSettings, "brokers"> & Partial<KafkaSettings.KafkaSettings>

const { brokerPattern, partitionsMax, prefixForm, prefixPattern, replicationFactorMax, sessionTimeoutMsLimits } =
  KafkaSettings.limits

const kafkaRules: Rules<KafkaSettings.KafkaSettings> = {
  brokers: [
    (value) => Array.isArray(value) && value.length > 0 && value.every((broker) => brokerPattern.test(String(broker))),
    'Give addresses, as ["kafka-1:9092"]'
  ],
  prefix: [optional((value) => Predicate.isString(value) && prefixPattern.test(value)), `It ${prefixForm}`],
  clientId: text,
  partitions: whole(1, partitionsMax),
  replicationFactor: whole(1, replicationFactorMax),
  createTopics: flag,
  sessionTimeoutMs: whole(sessionTimeoutMsLimits.minimum, sessionTimeoutMsLimits.maximum),
  mayBeAway: flag,
  sasl: toldApart,
  ssl: [optional((value) => Predicate.isBoolean(value) || Predicate.isObject(value)), "Give true, or paths of files"]
}

const saslRules: Rules<NonNullable<KafkaSettings.KafkaSettings["sasl"]>> = {
  mechanism: [
    (value) => KafkaSettings.saslMechanisms.some((mechanism) => mechanism === value),
    `Give one of ${KafkaSettings.saslMechanisms.join(", ")}`
  ],
  username: [Predicate.isString, "Give the user's name"],
  password: [(value) => Redacted.isRedacted(value), "Give it as Redacted.make(password) of effect", true]
}

const tlsRules: Rules<KafkaSettings.TlsFiles> = { caFile: text, certFile: text, keyFile: text }

const nestedFaultOf = ({ sasl, ssl }: KafkaOptions): ConfigInvalid | null =>
  (sasl === undefined ? null : faultOf(sasl, saslRules, "sasl")) ??
  (Predicate.isObject(ssl) ? faultOf(ssl, tlsRules, "ssl") : null)

export const checkedKafka = (options: KafkaOptions): Effect.Effect<void, ConfigInvalid> =>
  failing(faultOf(options, kafkaRules) ?? nestedFaultOf(options))
