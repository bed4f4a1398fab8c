/**
 * What lies in a data folder:
 *
 *   owner               the process that runs the server, see Owner.ts
 *   data                Kafka's log.dirs; made beside it and renamed, so that a half-made one never stays
 *   server.properties   of the latest start
 *   server.pid          number and start time of the server
 *   server.log          and server.log.1 of the run before
 */
import { Effect, Random } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { EmbeddedKafkaFailed, wayOut } from "./EmbeddedKafkaError.ts"
import { isAlive, processStart, read, stopProcess, type StopSignals } from "./ServerProcess.ts"

/** A stop that flushes, and one after which Kafka checks its segments. SIGQUIT would only make Java print its threads. */
export const stopSignals: StopSignals = { clean: "SIGTERM", immediate: "SIGKILL" }

export const dataOf = (dataDirectory: string): string => path.join(dataDirectory, "data")

const pidFileOf = (dataDirectory: string): string => path.join(dataDirectory, "server.pid")

export const writeProcess = (dataDirectory: string, processId: number): void =>
  fs.writeFileSync(pidFileOf(dataDirectory), `${processId} ${processStart(processId)}`)

/** Stops a server that a dead owner left on this folder. Call it only as the owner. */
export const stopLeftover = Effect.fnUntraced(function* (dataDirectory: string, stopTimeoutMs: number) {
  const [number, start] = read(pidFileOf(dataDirectory)).split(" ")
  const processId = Number(number)
  if (!Number.isInteger(processId) || processId <= 1 || !isAlive(processId)) return
  if (processStart(processId) !== start) return
  yield* Effect.logWarning(`Stopping Kafka ${processId}, left on ${dataDirectory} by a process that was killed`)
  yield* stopProcess(processId, stopTimeoutMs, stopSignals)
})

/** Makes Kafka's folder if there is none: what its storage tool made of an empty one, under a name of its own. */
export const initialise = Effect.fnUntraced(function* (dataDirectory: string, formatted: string) {
  const data = dataOf(dataDirectory)
  if (fs.existsSync(path.join(data, "meta.properties"))) return
  const names = { cluster: yield* uuid, directory: yield* uuid }
  yield* Effect.try({
    try: () => {
      // log.dirs is a list.
      if (data.includes(",")) throw new Error("Kafka cannot work in a folder with a comma in its path")
      const unfinished = path.join(dataDirectory, "data.unfinished")
      fs.rmSync(unfinished, { recursive: true, force: true })
      fs.cpSync(formatted, unfinished, { recursive: true })
      const meta = path.join(unfinished, "meta.properties")
      const text = fs.readFileSync(meta, "utf8")
      fs.writeFileSync(
        meta,
        text
          .replace(/^cluster\.id=.*$/m, `cluster.id=${names.cluster}`)
          .replace(/^directory\.id=.*$/m, `directory.id=${names.directory}`)
      )
      fs.renameSync(unfinished, data)
    },
    catch: (cause) =>
      new EmbeddedKafkaFailed({
        step: "format",
        message: `The folder ${data} cannot be made: ${String(cause)}. Choose another data folder, ${wayOut}`
      })
  })
})

const uuidBytes = 16

/** As Kafka writes one: 16 bytes in base64 of addresses. Kafka never begins one with a hyphen. */
const uuid = Effect.gen(function* () {
  const [first = 0, ...rest] = yield* Effect.replicateEffect(Random.nextIntBetween(0, 255), uuidBytes)
  return Buffer.from([first & 0x7f, ...rest]).toString("base64url")
})
