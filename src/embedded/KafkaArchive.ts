/**
 * Kafka's classes as Java has them in memory once they are loaded and verified, in a file (Java's class data sharing). With
 * it a start takes 2.6 s of processor time instead of 4.6 s. It is written once per Java, at the end of a Kafka that is started
 * for nothing else; a start without it is only slower, so no failure here is one of the start.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as FreePort from "./FreePort.ts"
import * as KafkaDirectory from "./KafkaDirectory.ts"
import { classPath, execute, type KafkaProgram } from "./KafkaProgram.ts"
import * as KafkaServer from "./KafkaServer.ts"

/** 13 s on a machine that was busy with other work. */
const startTimeoutMs = 120_000
/** The file is written while Java ends, in about 3 s. */
const stopTimeoutMs = 60_000
const checkTimeoutMs = 20_000

/** What `java` is told to use the archive, which is made if this Java has none. */
export const options = Effect.fnUntraced(function* (program: KafkaProgram) {
  const archive = path.join(program.folder, `classes-${program.javaVersion}.jsa`)
  if (!fs.existsSync(archive)) {
    yield* write(program, archive).pipe(
      Effect.catch((error) => Effect.logWarning(`Kafka starts slower than it could: ${error.message}`))
    )
  }
  return fs.existsSync(archive) ? use(archive) : []
})

const use = (archive: string): ReadonlyArray<string> => [`-XX:SharedArchiveFile=${archive}`]

const write = Effect.fnUntraced(function* (program: KafkaProgram, archive: string) {
  yield* Effect.logInfo("Preparing Kafka for quick starts, once per Java")
  const dataDirectory = yield* Effect.acquireRelease(
    Effect.try({
      try: () => fs.mkdtempSync(`${archive}-unfinished-`),
      catch: (cause) => new FreePort.NoFreePort({ message: String(cause) })
    }),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  )
  const unfinished = path.join(dataDirectory, "classes.jsa")
  yield* Effect.scoped(
    Effect.gen(function* () {
      yield* KafkaDirectory.initialise(dataDirectory, path.join(program.folder, "formatted"))
      const plain = yield* FreePort.choose([])
      const controller = yield* FreePort.choose([plain])
      yield* KafkaServer.start({
        program,
        dataDirectory,
        ports: { plain, controller, sasl: 0, proxied: [] },
        sasl: undefined,
        tls: undefined,
        settings: {},
        heapMb: 384,
        jvmOptions: [`-XX:ArchiveClassesAtExit=${unfinished}`],
        startTimeoutMs,
        stopTimeoutMs
      })
    })
  )
  // Half a file, of a Java that was killed while it wrote, is refused here.
  yield* execute(
    program.java,
    [...use(unfinished), "-Xshare:on", ...classPath(program.folder), "-version"],
    checkTimeoutMs
  ).pipe(Effect.mapError(({ output }) => ({ message: output })))
  yield* Effect.sync(() => fs.renameSync(unfinished, archive))
}, Effect.scoped)
