/** One Java process that runs Kafka on a folder made by KafkaDirectory.ts, alive exactly as long as a scope. */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { answers } from "./KafkaAnswer.ts"
import * as KafkaDirectory from "./KafkaDirectory.ts"
import { classPath, type KafkaProgram } from "./KafkaProgram.ts"
import {
  type KafkaPorts,
  propertiesText,
  type SaslUser,
  type Settings,
  settingsOf,
  type TlsCertificate
} from "./KafkaSettings.ts"
import * as ServerAccount from "./ServerAccount.ts"
import * as ServerProcess from "./ServerProcess.ts"

export interface KafkaServer {
  readonly program: KafkaProgram
  readonly dataDirectory: string
  readonly ports: KafkaPorts
  readonly sasl: SaslUser | undefined
  readonly tls: TlsCertificate | undefined
  readonly settings: Settings
  readonly heapMb: number
  /** After ours, so stronger. */
  readonly jvmOptions: ReadonlyArray<string>
  readonly startTimeoutMs: number
  readonly stopTimeoutMs: number
}

/** Returns when Kafka answers. */
export const start = Effect.fnUntraced(function* (server: KafkaServer) {
  const { dataDirectory } = server
  const properties = path.join(dataDirectory, "server.properties")
  const logFile = yield* Effect.sync(() => {
    const text = propertiesText(settingsOf({ ...server, data: KafkaDirectory.dataOf(dataDirectory) }))
    // It may hold a password and a key; a file that is there keeps its mode, so it goes first.
    fs.rmSync(properties, { force: true })
    fs.writeFileSync(properties, text, { mode: 0o600 })
    return ServerProcess.rotateLog(dataDirectory)
  })
  const processId = yield* ServerProcess.start({
    name: "Kafka",
    command: ServerAccount.boundCommandAs(
      ServerAccount.ours,
      server.program.java,
      [
        ...quickStart,
        `-Xmx${server.heapMb}m`,
        ...server.jvmOptions,
        ...classPath(server.program.folder),
        "kafka.Kafka",
        properties
      ],
      { signal: "SIGTERM" }
    ),
    logFile,
    startTimeoutMs: server.startTimeoutMs,
    stopTimeoutMs: server.stopTimeoutMs,
    stopSignals: KafkaDirectory.stopSignals,
    onSpawn: (processId) => KafkaDirectory.writeProcess(dataDirectory, processId),
    isReady: () => answers(server.ports.plain)
  })
  return { logFile, processId }
})

/** Of a start's 7.4 s of processor time the first compiler alone saves 2.8 s. The rest keeps Java small and quiet. */
const quickStart = [
  "-XX:TieredStopAtLevel=1",
  "-XX:+UseSerialGC",
  "-Xms64m",
  "-XX:-UsePerfData",
  "-XX:+ExitOnOutOfMemoryError",
  "-Xlog:cds=off",
  "-Xlog:cds+dynamic=off"
]
