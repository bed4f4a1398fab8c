/**
 * A real Apache Kafka, one node that is broker and controller, alive exactly as long as a scope: for development and tests.
 *
 * `make` finds Java, fetches Kafka once per user through Maven, takes the data folder, starts the server on ports of
 * 127.0.0.1 and stops it when the scope closes. It never listens beyond this machine, but any user of this machine can connect.
 * Without `dataDirectory` everything lives in a temporary folder that goes away with the scope; with it the next `make` finds
 * topics, records and committed offsets again, also after SIGKILL. Kafka leaves fsync to the operating system, so a power
 * cut may take the latest records.
 *
 * The server dies with the *thread* that called `make`; do not call it from a worker thread that ends early.
 */
import { Clock, Context, Effect, Layer, Random, type Scope } from "effect"
import * as path from "node:path"
import { EmbeddedKafkaFailed, type EmbeddedKafkaUnavailable, wayOut } from "./EmbeddedKafkaError.ts"
import * as FreePort from "./FreePort.ts"
import * as KafkaArchive from "./KafkaArchive.ts"
import * as KafkaDirectory from "./KafkaDirectory.ts"
import * as KafkaProgram from "./KafkaProgram.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { ProxiedPort, SaslUser, Settings, TlsCertificate } from "./KafkaSettings.ts"
import * as Owner from "./Owner.ts"
import * as RunDirectory from "./RunDirectory.ts"
import { ours } from "./ServerAccount.ts"

export { EmbeddedKafkaFailed, EmbeddedKafkaUnavailable } from "./EmbeddedKafkaError.ts"

export interface EmbeddedKafkaOptions {
  /** Folder of the data, made if absent. Default: a temporary one, removed when the scope closes. */
  readonly dataDirectory?: string
  /** Of 127.0.0.1, for clients that must find it again after a restart. Default: a free one between 20000 and 32000. */
  readonly port?: number
  /** Java's heap. Default 384; Kafka takes about 300 MB of memory in all. */
  readonly heapMb?: number
  /** How long the start may take, recovery included, fetching excluded. Default 60 s. */
  readonly startTimeoutMs?: number
  /** How long the clean stop may take before SIGKILL. Default 30 s. */
  readonly stopTimeoutMs?: number
  /** Of Kafka's server.properties (`"log.retention.ms": 60_000`), stronger than ours. */
  readonly settings?: Settings
  /** Opens a second listener, `saslBrokers`, that takes only this user (SASL_PLAINTEXT, mechanism PLAIN). */
  readonly sasl?: SaslUser
  /** With `sasl`: that listener speaks TLS (SASL_SSL) and shows this certificate, which is to be for 127.0.0.1. */
  readonly tls?: TlsCertificate
  /**
   * Ports of 127.0.0.1 where proxies listen that stand before this Kafka. For each it opens a listener whose clients are told to come
   * to that proxy; `proxiedPorts` says where the proxy finds it.
   */
  readonly proxyPorts?: ReadonlyArray<number>
  /** Of `java`, stronger than ours: `-XX:TieredStopAtLevel=4` starts slower and then runs faster, for measurements. */
  readonly jvmOptions?: ReadonlyArray<string>
}

export interface RunningKafka {
  /** `127.0.0.1:PORT`, as DUETIME_KAFKA_BROKERS wants it. */
  readonly brokers: string
  readonly port: number
  /** Of the listener that asks for a name and a password; undefined without `sasl`. */
  readonly saslBrokers: string | undefined
  /** Of the listeners behind proxies, in the order of `proxyPorts`. Another start may choose others. */
  readonly proxiedPorts: ReadonlyArray<number>
  readonly dataDirectory: string
  readonly logFile: string
  /** Of Java. */
  readonly processId: number
  /** For example `4.1.1`. */
  readonly version: string
  readonly heapMb: number
}

export class EmbeddedKafka extends Context.Service<EmbeddedKafka, RunningKafka>()("duetime/embedded/EmbeddedKafka") {
  static readonly layer = (
    options: EmbeddedKafkaOptions = {}
  ): Layer.Layer<EmbeddedKafka, EmbeddedKafkaUnavailable | EmbeddedKafkaFailed> =>
    Layer.effect(EmbeddedKafka, make(options))
}

export const make = (
  options: EmbeddedKafkaOptions = {}
): Effect.Effect<RunningKafka, EmbeddedKafkaUnavailable | EmbeddedKafkaFailed, Scope.Scope> =>
  // Real processes need real time, and ports that no other process chooses, also inside a test with a clock and a seed.
  run(options).pipe(
    Effect.provideService(Clock.Clock, Clock.Clock.defaultValue()),
    Effect.provideService(Random.Random, Random.Random.defaultValue())
  )

const heapMbDefault = 384
const startTimeoutMsDefault = 60_000
const stopTimeoutMsDefault = 30_000
/** A chosen port may be taken by another process before Java listens on it. */
const portRetriesMax = 3

const run = Effect.fnUntraced(function* (options: EmbeddedKafkaOptions) {
  const stopTimeoutMs = options.stopTimeoutMs ?? stopTimeoutMsDefault
  const heapMb = options.heapMb ?? heapMbDefault
  const program = yield* KafkaProgram.locate()
  const archive = yield* KafkaArchive.options(program)

  const dataDirectory = yield* own(options.dataDirectory, stopTimeoutMs)
  yield* KafkaDirectory.initialise(dataDirectory, path.join(program.folder, "formatted"))

  const started = Effect.gen(function* () {
    const ports = yield* choosePorts(options)
    const server = yield* KafkaServer.start({
      program,
      dataDirectory,
      ports,
      sasl: options.sasl,
      tls: options.tls,
      settings: options.settings ?? {},
      heapMb,
      jvmOptions: [...archive, ...(options.jvmOptions ?? [])],
      startTimeoutMs: options.startTimeoutMs ?? startTimeoutMsDefault,
      stopTimeoutMs
    })
    return { ...server, ports }
  })
  const { logFile, ports, processId } = yield* started.pipe(
    Effect.retry({ times: portRetriesMax, while: ({ message }) => message.includes("Address already in use") }),
    Effect.mapError(({ message }) => new EmbeddedKafkaFailed({ step: "start", message }))
  )
  return {
    brokers: `127.0.0.1:${ports.plain}`,
    port: ports.plain,
    saslBrokers: options.sasl === undefined ? undefined : `127.0.0.1:${ports.sasl}`,
    proxiedPorts: ports.proxied.map(({ port }) => port),
    dataDirectory,
    logFile,
    processId,
    version: KafkaProgram.version,
    heapMb
  } satisfies RunningKafka
})

/** The data folder, owned, with no server of a dead owner left on it. */
const own = Effect.fnUntraced(
  function* (folder: string | undefined, stopTimeoutMs: number) {
    const stopLeftover = (leftover: string) => KafkaDirectory.stopLeftover(leftover, stopTimeoutMs)
    if (folder === undefined) return yield* RunDirectory.make({ kind: "kafka", account: ours, stopLeftover })
    const dataDirectory = path.resolve(folder)
    yield* Owner.own(dataDirectory)
    yield* stopLeftover(dataDirectory)
    return dataDirectory
  },
  Effect.mapError(({ message }) => new EmbeddedKafkaFailed({ step: "own", message: `${message} Else, ${wayOut}` }))
)

const choosePorts = Effect.fnUntraced(function* ({ port, proxyPorts = [] }: EmbeddedKafkaOptions) {
  if (port !== undefined && !(yield* FreePort.isFree(port))) {
    return yield* new FreePort.NoFreePort({
      message: `Port ${port} of 127.0.0.1 is in use. Stop what listens on it, or choose another port.`
    })
  }
  const plain = port ?? (yield* FreePort.choose([]))
  const controller = yield* FreePort.choose([plain])
  const sasl = yield* FreePort.choose([plain, controller])
  const taken = [plain, controller, sasl]
  const proxied: Array<ProxiedPort> = []
  for (const proxyPort of proxyPorts) {
    const port = yield* FreePort.choose(taken)
    taken.push(port)
    proxied.push({ port, proxyPort })
  }
  return { plain, controller, sasl, proxied }
})
