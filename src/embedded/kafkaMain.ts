/**
 * `npm run kafka`: an Apache Kafka for development, until Ctrl-C. It keeps its data in `.duetime/kafka`.
 *
 * One line goes to the standard output, `DUETIME_KAFKA_BROKERS=127.0.0.1:PORT`, or with --json an object with the
 * fields of RunningKafka; everything else goes to the standard error. Status 0 after SIGINT or SIGTERM.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Console, Effect, Exit, Logger } from "effect"
import { parseArgs } from "node:util"
import * as EmbeddedKafka from "./EmbeddedKafka.ts"
import { isAlive } from "./ServerProcess.ts"

/** Where Kafka is looked for by whoever was told nothing. */
const portDefault = 9092
/** How often we look whether the server is still there. */
const lookIntervalMs = 1_000

const usage = `npm run kafka -- [--port N] [--data FOLDER] [--json]

  --port N        of 127.0.0.1; default ${portDefault}, 0 for any free one
  --data FOLDER   default .duetime/kafka
  --json          says where it runs as JSON`

const options = {
  port: { type: "string" },
  data: { type: "string" },
  json: { type: "boolean" },
  help: { type: "boolean" }
} as const

const program = Effect.gen(function* () {
  const { values } = yield* Effect.try({
    try: () => parseArgs({ options }),
    catch: (cause) => ({ message: `${cause instanceof Error ? cause.message : String(cause)}\n\n${usage}` })
  })
  if (values.help === true) return yield* Console.log(usage)
  const port = Number(values.port ?? portDefault)
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    return yield* Effect.fail({
      message: `--port is "${values.port}", and must be a number from 0 to 65535.\n\n${usage}`
    })
  }
  const kafka = yield* EmbeddedKafka.make({
    dataDirectory: values.data ?? ".duetime/kafka",
    ...(port === 0 ? {} : { port })
  })
  yield* Console.log(values.json === true ? JSON.stringify(kafka) : `DUETIME_KAFKA_BROKERS=${kafka.brokers}`)
  yield* Console.error(`Kafka ${kafka.version} runs on ${kafka.dataDirectory}. Ctrl-C stops it.`)
  while (isAlive(kafka.processId)) yield* Effect.sleep(lookIntervalMs)
  return yield* Effect.fail({ message: `Kafka has ended by itself. Its log is ${kafka.logFile}.` })
}).pipe(
  Effect.tapError(({ message }) => Console.error(message)),
  Effect.scoped,
  Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatSimple)]))
)

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  // To be stopped is how it ends.
  teardown: (exit, onExit) => onExit(Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause) ? 0 : 1)
})
