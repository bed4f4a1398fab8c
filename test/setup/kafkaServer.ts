/**
 * One throw-away Kafka per run, started when the first test file asks for it: a run that needs none pays nothing. A file
 * asks over HTTP on 127.0.0.1 by importing kafka.ts; all files of a run get the same answer.
 *
 * DUETIME_KAFKA_BROKERS makes the tests use that Kafka instead.
 */
import { Effect, Exit, Scope } from "effect"
import { once } from "node:events"
import * as http from "node:http"
import type { TestProject } from "vitest/node"
import * as EmbeddedKafka from "../../src/embedded/EmbeddedKafka.ts"

export type KafkaForTests =
  | { readonly _tag: "Running"; readonly brokers: string; readonly version: string }
  | { readonly _tag: "Absent"; readonly reason: string }
  | { readonly _tag: "Failed"; readonly reason: string }

declare module "vitest" {
  interface ProvidedContext {
    /** Answers GET with KafkaForTests, as JSON. */
    kafka: string
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const scope = Scope.makeUnsafe()
  let answer: Promise<KafkaForTests> | undefined
  const server = http.createServer((_, response) => {
    answer ??= Effect.runPromise(start.pipe(Scope.provide(scope)))
    void answer.then((kafka) => response.end(JSON.stringify(kafka)))
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  if (address === null || typeof address === "string") throw new Error("The test's Kafka has no address.")
  project.provide("kafka", `http://127.0.0.1:${address.port}`)
  return async () => {
    server.close()
    server.closeAllConnections()
    // A start that is still under way would otherwise outlive the run.
    await answer
    await Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

const start = Effect.suspend((): Effect.Effect<KafkaForTests, never, Scope.Scope> => {
  const brokers = process.env["DUETIME_KAFKA_BROKERS"]
  if (brokers !== undefined) {
    return Effect.succeed({ _tag: "Running", brokers, version: "of DUETIME_KAFKA_BROKERS" })
  }
  return EmbeddedKafka.make().pipe(
    Effect.map(({ brokers, version }): KafkaForTests => ({ _tag: "Running", brokers, version })),
    Effect.catchTags({
      EmbeddedKafkaUnavailable: ({ message: reason }) =>
        Effect.sync((): KafkaForTests => {
          // What a laptop may lack, a build must not: green would mean nothing.
          if (process.env["CI"] !== undefined) return { _tag: "Failed", reason }
          console.error(boxed(["SKIPPED: every test that needs Kafka.", ...wrapped(reason)]))
          return { _tag: "Absent", reason }
        }),
      EmbeddedKafkaFailed: ({ message: reason }) => Effect.succeed<KafkaForTests>({ _tag: "Failed", reason })
    })
  )
})

const widthMax = 96

const wrapped = (text: string): ReadonlyArray<string> =>
  text.match(new RegExp(`\\S.{0,${widthMax - 1}}(?=\\s|$)`, "g")) ?? []

const boxed = (lines: ReadonlyArray<string>): string => {
  const edge = "─".repeat(widthMax + 2)
  return [`┌${edge}┐`, ...lines.map((line) => `│ ${line.padEnd(widthMax)} │`), `└${edge}┘`].join("\n")
}
