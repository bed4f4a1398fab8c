/**
 * Apache Kafka's jars, fetched once per user from Maven Central by the machine's own `mvn`, and the Java that runs them.
 *
 *   kafka-4.1.1/libs/               the jars, with the logging that Kafka's own distribution brings
 *   kafka-4.1.1/log4j2.properties   warnings and errors to the standard output, which is the server's log file
 *   kafka-4.1.1/formatted/          what Kafka's storage tool makes of an empty folder, see KafkaDirectory.ts
 *   kafka-4.1.1/classes-*.jsa       one per Java, see KafkaArchive.ts
 */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import * as CacheFolder from "./CacheFolder.ts"
import { EmbeddedKafkaFailed, EmbeddedKafkaUnavailable, wayOut } from "./EmbeddedKafkaError.ts"

export const version = "4.1.1"

export interface KafkaProgram {
  /** The Java program, an absolute path or a name on the PATH. */
  readonly java: string
  /** For example `17.0.15`. */
  readonly javaVersion: string
  /** Of the cache, holding what the top of this file says. */
  readonly folder: string
}

/** Kafka 4 servers need it. */
const javaMajorMin = 17
/** `java -version` answers in 50 ms. */
const javaTimeoutMs = 20_000
/** 43 MB from Maven Central take 13 s on a fast line. */
const fetchTimeoutMs = 600_000
const formatTimeoutMs = 60_000
/** How much of a program's output an error carries. */
const outputTailLengthMax = 2_000
const outputBytesMax = 10_000_000

/** Java and the jars, fetched if no start before has done so. `caches` is given only by tests. */
export const locate = Effect.fnUntraced(function* (caches = CacheFolder.candidates("our account")) {
  const { java, javaVersion } = yield* findJava
  const folder = yield* CacheFolder.firstUsable(caches).pipe(
    Effect.flatMap((cache) => CacheFolder.fillOnce(path.join(cache, `kafka-${version}`), (to) => fetch(java, to))),
    Effect.catchTag("CacheUnusable", ({ message }) =>
      Effect.fail(failedToFetch(`${message}. Make one of these folders usable`))
    )
  )
  return { java, javaVersion, folder } satisfies KafkaProgram
})

/** The arguments of `java` for one of Kafka's main classes. */
export const classPath = (folder: string): ReadonlyArray<string> => [
  `-Dlog4j2.configurationFile=${path.join(folder, "log4j2.properties")}`,
  "-cp",
  path.join(folder, "libs", "*")
]

const findJava = Effect.gen(function* () {
  const home = process.env["JAVA_HOME"]
  const inHome = home === undefined ? undefined : path.join(home, "bin", "java")
  const java = inHome !== undefined && fs.existsSync(inHome) ? inHome : "java"
  const { stderr } = yield* execute(java, ["-version"], javaTimeoutMs).pipe(
    Effect.mapError(({ output }) => withoutJava(`does not run: ${output}`))
  )
  const javaVersion = /version "([^"]+)"/.exec(stderr)?.[1] ?? "unknown"
  if (!(Number.parseInt(javaVersion, 10) >= javaMajorMin)) return yield* withoutJava(`is version ${javaVersion}`)
  return { java, javaVersion }
})

const withoutJava = (problem: string) =>
  new EmbeddedKafkaUnavailable({
    missing: "java",
    message:
      `The embedded Kafka needs Java ${javaMajorMin} or newer, and \`java\` ${problem}. ` +
      `Install one (for example the package openjdk-${javaMajorMin}-jre-headless), ${wayOut}`
  })

const fetch = Effect.fnUntraced(function* (java: string, folder: string) {
  yield* Effect.logInfo(`Fetching Apache Kafka ${version} from Maven Central, once (43 MB)`)
  const pom = path.join(folder, "pom.xml")
  yield* Effect.sync(() => {
    fs.writeFileSync(pom, pomText)
    fs.writeFileSync(path.join(folder, "log4j2.properties"), log4jText)
  })
  const copy = [copyDependencies, "-DincludeScope=runtime", `-DoutputDirectory=${path.join(folder, "libs")}`]
  yield* execute("mvn", ["-q", "-B", "-ntp", "-f", pom, ...copy], fetchTimeoutMs).pipe(
    Effect.mapError(({ isAbsent, output }) =>
      isAbsent
        ? new EmbeddedKafkaUnavailable({
            missing: "mvn",
            message: `The embedded Kafka is fetched by Maven, and there is no \`mvn\` on the PATH. Install it (the package maven), ${wayOut}`
          })
        : failedToFetch(`mvn says:\n${output}\nSee that it reaches Maven Central or a mirror of it`)
    )
  )
  yield* format(java, folder)
})

/** The tool takes a second; a copy of what it made takes none, so it works once and not for every server. */
const format = Effect.fnUntraced(function* (java: string, folder: string) {
  const settings = path.join(folder, "format.properties")
  yield* Effect.sync(() => fs.writeFileSync(settings, formatSettings(path.join(folder, "formatted"))))
  const tool = ["kafka.tools.StorageTool", "format", "--cluster-id", "AAAAAAAAQACAAAAAAAAAAQ", "--config", settings]
  yield* execute(java, ["-XX:TieredStopAtLevel=1", ...classPath(folder), ...tool], formatTimeoutMs).pipe(
    Effect.mapError(({ output }) => failedToFetch(`its storage tool says:\n${output}\nReport it`))
  )
})

const failedToFetch = (problem: string) =>
  new EmbeddedKafkaFailed({
    step: "fetch",
    message: `Apache Kafka ${version} cannot be fetched: ${problem}, ${wayOut}`
  })

/** A short-lived program, killed after `timeoutMs`. */
export const execute = (file: string, args: ReadonlyArray<string>, timeoutMs: number) =>
  Effect.callback<{ readonly stderr: string }, { readonly isAbsent: boolean; readonly output: string }>((resume) => {
    const child = execFile(
      file,
      args,
      { timeout: timeoutMs, maxBuffer: outputBytesMax, killSignal: "SIGKILL" },
      (error, stdout, stderr) => {
        const said = `${stdout}\n${stderr}`.trim()
        resume(
          error === null
            ? Effect.succeed({ stderr })
            : Effect.fail({
                isAbsent: error.code === "ENOENT",
                output: (said === "" ? error.message : said).slice(-outputTailLengthMax)
              })
        )
      }
    )
    return Effect.sync(() => child.kill("SIGKILL"))
  })

const copyDependencies = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

/** Without log4j-slf4j-impl Kafka says nothing, not even why it ends; 2.24.3 is the log4j that Kafka 4.1.1 is built with. */
const pomText = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>duetime</groupId>
  <artifactId>embedded-kafka</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId>
      <artifactId>kafka_2.13</artifactId>
      <version>${version}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId>
      <artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
`

const log4jText = `status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %m (%c)%n%throwable
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
`

const formatSettings = (folder: string) => `process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:1
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:1
log.dirs=${folder}
`
