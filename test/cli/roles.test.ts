import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import { createServer, type Server } from "node:http"
import * as os from "node:os"
import * as path from "node:path"
import { stopSignals } from "../../src/cli/role/stopSignal.ts"
import { database } from "../setup/database.ts"
import { environment, greet, logged, readiness, role, schedule, stageOf, until } from "./roleProcess.ts"
import { type Environment, runCli, runProcess } from "./runCli.ts"

const nowhere = { DUETIME_DATABASE_URL: "postgresql://app@localhost:5432/app?host=%2Fno%2Fsuch%2Ffolder" }
const withKafka = { ...nowhere, DUETIME_KAFKA_BROKERS: "127.0.0.1:1" }

const refused = (args: ReadonlyArray<string>, env: Environment, message: RegExp) =>
  Effect.gen(function* () {
    const ended = yield* runCli(args, env)
    assert.match(ended.stderr, message)
    assert.deepStrictEqual({ status: ended.status, stdout: ended.stdout }, { status: 3, stdout: "" })
  })

describe("duetime engine, worker and run", () => {
  it.live("refuse to be apart without a broker, and say how to be together", () =>
    Effect.gen(function* () {
      const message = /^ConfigInvalid: DUETIME_KAFKA_BROKERS is not set\. .*"duetime run --tasks <module>"\n$/
      yield* refused(["engine"], nowhere, message)
      yield* refused(["worker", "--tasks", greet], nowhere, message)
    })
  )

  const modules: ReadonlyArray<readonly [what: string, module: string, message: RegExp]> = [
    [
      "is not there",
      "test/cli/modules/none.ts",
      /module test\/cli\/modules\/none\.ts does not exist: no file \/.*none/
    ],
    ["throws when it is loaded", "test/cli/modules/throws.ts", /cannot be loaded: SMTP_URL is not set\. Correct it/],
    [
      "exports nothing of the kind",
      "test/cli/modules/nothing.ts",
      /exports neither tasks nor a default\. Export "tasks"/
    ],
    [
      "exports no layer",
      "test/cli/modules/notALayer.ts",
      /exports tasks that are no layer of handlers\. Export "tasks"/
    ]
  ]
  it.live.each(modules)("refuse a tasks module that %s", ([, module, message]) =>
    refused(["worker", "--tasks", module], withKafka, message)
  )

  it.live("load a module of a package without a type, and pass on no warning of Node's but those of the module", () =>
    Effect.gen(function* () {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-typeless-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => fs.rmSync(folder, { recursive: true })))
      const module = path.join(folder, "tasks.ts")
      fs.writeFileSync(path.join(folder, "package.json"), "{}")
      // Node writes warnings a tick later, and the process must still be there.
      fs.writeFileSync(
        module,
        `process.emitWarning("old mail server", { code: "OLD" })
         await new Promise((resolve) => setImmediate(resolve))
         export const tasks: number = 1`
      )
      const { stderr } = yield* runProcess(["run", "--tasks", module], nowhere)
      assert.match(stderr, /^\(node:\d+\) \[OLD\] Warning: old mail server\n\(Use [^\n]*\)\nTasksInvalid: [^\n]*\n$/)
    }).pipe(Effect.scoped)
  )

  it.live("refuse a health port that is none, of the flag as a wrong call, of the environment as a setting", () =>
    Effect.gen(function* () {
      const flag = yield* runCli(["engine", "--health-port", "70000"], withKafka)
      assert.match(flag.stderr, /--health-port.*70000 is not allowed; give a whole number from 0 to 65535/s)
      assert.strictEqual(flag.status, 2)
      const env = { ...withKafka, DUETIME_HEALTH_PORT: "high" }
      yield* refused(["engine"], env, /^ConfigInvalid: DUETIME_HEALTH_PORT is "high"/)
    })
  )

  it("stop by the signals that everything sends", () => {
    assert.sameMembers([...stopSignals], ["SIGINT", "SIGTERM"])
  })
})

/** A collector that keeps what it is sent. */
const collecting = Effect.gen(function* () {
  const bodies: Array<string> = []
  const server = yield* Effect.acquireRelease(
    Effect.callback<Server>((resume) => {
      const made: Server = createServer((request, response) => {
        request.on("data", (chunk: Buffer) => bodies.push(chunk.toString()))
        request.on("end", () => response.writeHead(200, { "content-type": "application/json" }).end("{}"))
      }).listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
    }),
    (made) => Effect.sync(() => made.closeAllConnections())
  )
  const address = server.address()
  const port = typeof address === "object" && address !== null ? address.port : 0
  return { bodies, url: `http://127.0.0.1:${port}` }
})

const metricsPage = (port: string) =>
  Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/metrics`)).text())

layer(database(), { excludeTestServices: true })("duetime run", (it) => {
  it.effect("runs what is due, is ready while it does, lets attempts end when it is stopped, and ends with 0", () =>
    Effect.gen(function* () {
      const running = yield* role(["run", "--tasks", greet, "--health-port", "0"])
      const [port = ""] = yield* logged(running, /health port open.*port=(\d+)/)
      yield* logged(running, /run started/)
      const id = yield* schedule("slow")
      yield* until(Effect.map(stageOf(id), (stage) => stage === "running"))
      yield* until(Effect.map(readiness(port), ({ status }) => status === 200))

      running.kill("SIGTERM")
      yield* logged(running, /SIGTERM: stops/)
      const draining = yield* readiness(port)
      assert.strictEqual(draining.status, 503)
      assert.deepInclude(draining.body.checks, { name: "draining", ok: false, detail: "stops: takes no more" })
      assert.deepStrictEqual(yield* Effect.promise(() => running.ended), { status: 0, signal: null })
      assert.match(running.stderr, /stopped in order/)
      assert.strictEqual(running.stdout, "")
      assert.strictEqual(yield* stageOf(id), "succeeded")
    })
  )

  it.effect("shows its metrics, exports its attempts, and logs JSON where its environment says so", () =>
    Effect.gen(function* () {
      const collector = yield* collecting
      const running = yield* role(["run", "--tasks", greet, "--health-port", "0"], {
        DUETIME_LOG_FORMAT: "json",
        OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
        OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
        OTEL_RESOURCE_ATTRIBUTES: "deployment.environment.name=test"
      })
      const [port = ""] = yield* logged(running, /"port":(\d+)/)
      const id = yield* schedule("greet", "--payload", '{"name":"Ada"}')
      yield* until(Effect.map(stageOf(id), (stage) => stage === "succeeded"))
      const lane = 'kind="greet",queue="greetings",priority="normal"'
      const page = yield* metricsPage(port)
      assert.include(page, `duetime_outcomes_total{${lane},outcome="succeeded"} 1`)
      for (const part of ["drift", "claim_lag"]) assert.include(page, `duetime_${part}_ms_count{${lane}} 1`)
      assert.include(page, 'duetime_backlog_tasks{kind="greet",state="due"} 0')

      running.kill("SIGTERM")
      assert.deepStrictEqual(yield* Effect.promise(() => running.ended), { status: 0, signal: null })
      const lines = running.stderr.trim().split("\n")
      assert.isTrue(lines.some((line) => (JSON.parse(line) as { message: string }).message === "stopped in order"))
      const exported = collector.bodies.join("\n")
      for (const text of ["attempt greet", "record greet", id, "duetime-run", "deployment.environment.name"]) {
        assert.include(exported, text)
      }
    })
  )

  it.effect("refuses variables of telemetry that mean nothing, by their names", () =>
    Effect.gen(function* () {
      const env = { ...(yield* environment), OTEL_EXPORTER_OTLP_ENDPOINT: "http://127.0.0.1:1" }
      const wrong = [{ DUETIME_LOG_FORMAT: "xml" }, { DUETIME_LOG_LEVEL: "loud" }, { OTEL_TRACES_SAMPLER_ARG: "7" }]
      for (const one of wrong) {
        const [name = "", value = ""] = Object.entries(one)[0] ?? []
        yield* refused(
          ["run", "--tasks", greet],
          { ...env, ...one },
          new RegExp(`^ConfigInvalid: ${name} is "${value}"`)
        )
      }
    })
  )

  it.effect("ends at once, with 130, when it is told a second time", () =>
    Effect.gen(function* () {
      const running = yield* role(["run", "--tasks", greet])
      yield* logged(running, /run started/)
      const id = yield* schedule("slow")
      yield* until(Effect.map(stageOf(id), (stage) => stage === "running"))
      running.kill("SIGINT")
      yield* logged(running, /SIGINT: stops/)
      // npm passes a terminal's Ctrl-C on, so two in one breath are one.
      yield* Effect.sleep("700 millis")
      running.kill("SIGINT")
      assert.deepStrictEqual(yield* Effect.promise(() => running.ended), { status: 130, signal: null })
      assert.strictEqual(yield* stageOf(id), "running")
    })
  )

  it.effect("refuses modules that cannot be built or handle nothing", () =>
    Effect.gen(function* () {
      const env = yield* environment
      const missing = yield* runProcess(["run", "--tasks", "test/cli/modules/missingService.ts"], env)
      assert.match(missing.stderr, /TasksInvalid: .*cannot be built: .*test\/Mailer/)
      const empty = yield* runProcess(["run", "--tasks", "test/cli/modules/withoutHandlers.ts"], env)
      assert.match(empty.stderr, /TasksInvalid: .*registers no handler/)
      assert.deepStrictEqual([missing.status, empty.status], [3, 3])
    })
  )
})
