import { Config, Duration, Option, type Redacted, Schema } from "effect"

export type KafkaSettings = {
  /** Addresses to begin with, as `host:port`; the cluster names the rest. */
  readonly brokers: ReadonlyArray<string>
  /** Begins the name of every topic and consumer group. Default `duetime`. */
  readonly prefix: string
  /** How the brokers' logs and quotas know this program. Default `duetime`. */
  readonly clientId: string
  /** Partitions per topic: so many workers of a queue can be fed at once. Default 8. */
  readonly partitions: number
  /** Copies of each topic that is made. Default 1; production wants 3. */
  readonly replicationFactor: number
  /** Whether topics that are missing are made when they are needed, also after a loss of all data. Default false. */
  readonly createTopics: boolean
  /**
   * How long a worker that is gone keeps its partitions. Below the lease of the scheduler (5 s), so that dispatches reach
   * others before their claims expire. Default 4 s; a cluster that allows no less than 6 s is given 6 s.
   */
  readonly sessionTimeoutMs: number
  /** Whether a program may begin while the cluster does not answer; tasks are pulled meanwhile. Default true. */
  readonly mayBeAway: boolean
  readonly sasl?: {
    readonly mechanism: SaslMechanism
    readonly username: string
    readonly password: Redacted.Redacted
  }
  /** True: TLS with the system's authorities. */
  readonly ssl?: boolean | TlsFiles
}

export type SaslMechanism = (typeof saslMechanisms)[number]

/** Paths of PEM files. */
export type TlsFiles = {
  readonly caFile?: string
  readonly certFile?: string
  readonly keyFile?: string
}

export const defaults: Omit<KafkaSettings, "brokers"> = {
  prefix: "duetime",
  clientId: "duetime",
  partitions: 8,
  replicationFactor: 1,
  createTopics: false,
  sessionTimeoutMs: 4_000,
  mayBeAway: true
}

export const saslMechanisms = ["plain", "scram-sha-256", "scram-sha-512"] as const

export const limits = {
  brokerPattern: /^[^\s,:]+:\d{1,5}$/,
  /** Topic names have at most 249 characters, a queue's name takes up to 100. */
  prefixPattern: /^[a-zA-Z0-9][a-zA-Z0-9._-]{0,99}$/,
  prefixForm: "must have 1 to 100 letters, digits, dots, dashes and underscores",
  /** More partitions than any fleet of workers of one queue; a cluster as a whole carries some hundred thousand. */
  partitionsMax: 1_000,
  replicationFactorMax: 10,
  sessionTimeoutMsLimits: { minimum: 1_000, maximum: 60_000 }
}

const count = (key: string, defaultCount: number, maximum: number) =>
  Config.schema(Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 1, maximum })), key).pipe(
    Config.withDefault(defaultCount)
  )

const text = (key: string, pattern: RegExp, form: string) =>
  Config.schema(Schema.String.check(Schema.makeFilter((value: string) => pattern.test(value) || `${key} ${form}`)), key)

const brokers = text(
  "DUETIME_KAFKA_BROKERS",
  /^[^\s,:]+:\d{1,5}( *, *[^\s,:]+:\d{1,5})*$/,
  "must read host:port, several parted by commas"
).pipe(Config.map((value) => value.split(",").map((broker) => broker.trim())))

const prefix = text("DUETIME_KAFKA_PREFIX", limits.prefixPattern, limits.prefixForm).pipe(
  Config.withDefault(defaults.prefix)
)

const sessionTimeoutMs = Config.schema(
  Schema.DurationFromString.check(
    Schema.makeFilter((duration: Duration.Duration) => {
      const ms = Duration.toMillis(duration)
      const { maximum, minimum } = limits.sessionTimeoutMsLimits
      return (ms >= minimum && ms <= maximum) || "DUETIME_KAFKA_SESSION_TIMEOUT must lie between 1 second and 1 minute"
    })
  ),
  "DUETIME_KAFKA_SESSION_TIMEOUT"
).pipe(Config.map(Duration.toMillis), Config.withDefault(defaults.sessionTimeoutMs))

const sasl = Config.option(Config.Literals(saslMechanisms, "DUETIME_KAFKA_SASL_MECHANISM")).pipe(
  Config.flatMap(
    Option.match({
      onNone: () => Config.succeed({}),
      onSome: (mechanism) =>
        Config.all({
          username: Config.String("DUETIME_KAFKA_SASL_USERNAME"),
          password: Config.Redacted("DUETIME_KAFKA_SASL_PASSWORD")
        }).pipe(Config.map((user) => ({ sasl: { mechanism, ...user } })))
    })
  )
)

const file = (key: string) => Config.option(Config.String(key))

/** Naming a file asks for TLS as well. */
const ssl = Config.all({
  enabled: Config.option(Config.Boolean("DUETIME_KAFKA_TLS")),
  ca: file("DUETIME_KAFKA_TLS_CA"),
  cert: file("DUETIME_KAFKA_TLS_CERT"),
  key: file("DUETIME_KAFKA_TLS_KEY")
}).pipe(
  Config.map(({ ca, cert, enabled, key }) => {
    const files: TlsFiles = {
      ...(Option.isSome(ca) ? { caFile: ca.value } : {}),
      ...(Option.isSome(cert) ? { certFile: cert.value } : {}),
      ...(Option.isSome(key) ? { keyFile: key.value } : {})
    }
    const named = Object.keys(files).length > 0
    return Option.getOrElse(enabled, () => named) ? { ssl: named ? files : true } : {}
  })
)

/** Read from the environment (docs/reference/config.md). None: no broker is named, so dispatch stays in the process. */
export const config: Config.Config<Option.Option<KafkaSettings>> = Config.option(
  Config.String("DUETIME_KAFKA_BROKERS")
).pipe(
  Config.flatMap((named) =>
    Option.isNone(named) || named.value.trim() === ""
      ? Config.succeed(Option.none())
      : Config.all({
          brokers,
          prefix,
          partitions: count("DUETIME_KAFKA_PARTITIONS", defaults.partitions, limits.partitionsMax),
          replicationFactor: count(
            "DUETIME_KAFKA_REPLICATION",
            defaults.replicationFactor,
            limits.replicationFactorMax
          ),
          createTopics: Config.Boolean("DUETIME_KAFKA_CREATE_TOPICS").pipe(Config.withDefault(defaults.createTopics)),
          sessionTimeoutMs,
          sasl,
          ssl
        }).pipe(Config.map(({ sasl, ssl, ...settings }) => Option.some({ ...defaults, ...settings, ...sasl, ...ssl })))
  )
)
