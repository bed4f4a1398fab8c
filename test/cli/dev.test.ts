/** `duetime dev` as the process it is: no configuration, a real PostgreSQL of its own, and files that change. */
import { assert, describe, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { linesNowhere, reference, shownBelow } from "../docs/transcriptShape.ts"
import { database } from "../setup/database.ts"
import { environment, RoleProcess, until } from "./roleProcess.ts"
import { type Environment, runCli } from "./runCli.ts"

const repository = process.cwd()
const timeout = 120_000

const taskModule = `
import { Console, Schema } from "effect"
import { Task } from ${JSON.stringify(path.join(repository, "src/index.ts"))}
import { word } from "./word.ts"
const Greet = Task.define("greet", { payload: { name: Schema.String } })
export const tasks = [Greet.handle(({ name }) => Console.log(\`\${word}, \${name}!\`))]
`
const word = (text: string) => `export const word = ${text}\n`

/** An empty project that has duetime's packages. */
const project = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-dev-"))
    fs.symlinkSync(path.join(repository, "node_modules"), path.join(folder, "node_modules"))
    return folder
  }),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)

const started = (folder: string, ...flags: ReadonlyArray<string>) => startedIn(folder, {}, flags)

const startedIn = (folder: string, env: Environment, flags: ReadonlyArray<string> = []) =>
  Effect.acquireRelease(
    Effect.sync(() => new RoleProcess(["dev", ...flags], env, { folder })),
    (running) =>
      Effect.promise(() => {
        running.kill("SIGKILL")
        return running.ended
      })
  )

const shown = (running: RoleProcess, pattern: RegExp) => Effect.promise(() => running.shown(pattern))

/** The line that it tells everybody to paste. */
const urlOf = Effect.fnUntraced(function* (running: RoleProcess) {
  const [url = ""] = yield* shown(running, /export DUETIME_DATABASE_URL='([^']+)'/)
  return { DUETIME_DATABASE_URL: url }
})

const greeted = Effect.fnUntraced(function* (running: RoleProcess, name: string, greeting: string) {
  const env = yield* urlOf(running)
  const scheduled = yield* runCli(["schedule", "greet", "--payload", JSON.stringify({ name })], env)
  assert.strictEqual(scheduled.status, 0, scheduled.stderr)
  yield* shown(running, new RegExp(`^${greeting}, ${name}!$`, "m"))
  yield* shown(running, new RegExp(`greet  succeeded  .* late, took .*${scheduled.stdout.trim()}`))
})

/** Of all processes of this machine those that work in the folder, the database's own among them. */
const processesIn = (folder: string) =>
  fs.readdirSync("/proc").filter((name) => {
    try {
      return /^\d+$/.test(name) && fs.readlinkSync(`/proc/${name}/cwd`).startsWith(folder)
    } catch {
      return false
    }
  })

describe("duetime dev", () => {
  it.live(
    "runs a module as soon as it is there, takes its changes, keeps what runs when one does not load, and leaves nothing running",
    () =>
      Effect.gen(function* () {
        const folder = yield* project
        const running = yield* started(folder)
        yield* shown(running, /There is no tasks\.ts yet/)
        fs.writeFileSync(path.join(folder, "word.ts"), word('"Hello"'))
        fs.writeFileSync(path.join(folder, "tasks.ts"), taskModule)
        yield* shown(running, /runs tasks\.ts: greet/)
        yield* greeted(running, "Ada", "Hello")
        assert.deepStrictEqual(linesNowhere(shownBelow(reference, "duetime dev"), running.stdout), [])

        // Of a module that tasks.ts imports.
        fs.writeFileSync(path.join(folder, "word.ts"), word('"Hej"'))
        yield* shown(running, /runs anew tasks\.ts: greet/)
        yield* greeted(running, "Bob", "Hej")

        fs.writeFileSync(path.join(folder, "word.ts"), word(""))
        yield* shown(running, /TasksInvalid: the module tasks\.ts cannot be loaded: .*word\.ts:1/)
        yield* shown(running, /tasks\.ts does not run .*; the one before goes on/)
        yield* greeted(running, "Eve", "Hej")

        assert.isAtLeast(processesIn(folder).length, 3)
        running.kill("SIGINT")
        assert.deepStrictEqual(yield* Effect.promise(() => running.ended), { status: 0, signal: null })
        assert.deepStrictEqual(processesIn(folder), [])

        // The data have stayed, until they are not wanted; and whoever is killed leaves nothing running either.
        const again = yield* started(folder, "--fresh", "--tasks", "tasks.ts")
        yield* shown(again, /does not run .*; nothing runs/)
        fs.writeFileSync(path.join(folder, "word.ts"), word('"Hallo"'))
        yield* greeted(again, "Ada", "Hallo")
        const found = yield* runCli(["tasks", "--stage", "succeeded", "--jsonl"], yield* urlOf(again))
        assert.lengthOf(found.stdout.trim().split("\n"), 1)
        again.kill("SIGKILL")
        yield* until(Effect.sync(() => processesIn(folder).length === 0))
      }).pipe(Effect.scoped),
    timeout
  )

  it.live(
    "says what package.json must say where npm init has made it commonjs, and runs as soon as it does",
    () =>
      Effect.gen(function* () {
        const folder = yield* project
        const manifest = (type: string) =>
          fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify({ name: "new", type }))
        manifest("commonjs")
        fs.writeFileSync(path.join(folder, "word.ts"), word('"Hello"'))
        fs.writeFileSync(path.join(folder, "tasks.ts"), taskModule)
        const running = yield* started(folder)
        yield* shown(
          running,
          /TasksInvalid: .* \(tasks\.ts:\d+\)\. package\.json makes it CommonJS: set "type": "module" there \(npm pkg set type=module\), or call the file tasks\.mts$/m
        )
        yield* shown(running, /tasks\.ts does not run .*; nothing runs/)
        manifest("module")
        yield* greeted(running, "Ada", "Hello")
      }).pipe(Effect.scoped),
    timeout
  )

  it.live(
    "says what to unset, once, where the environment names a database that does not answer",
    () =>
      Effect.gen(function* () {
        const folder = yield* project
        fs.writeFileSync(path.join(folder, "word.ts"), word('"Hello"'))
        fs.writeFileSync(path.join(folder, "tasks.mts"), taskModule)
        const gone = `postgresql://postgres@localhost:5432/postgres?host=${encodeURIComponent(path.join(folder, "gone"))}`
        const running = yield* startedIn(folder, { DUETIME_DATABASE_URL: gone })
        yield* shown(running, /is set, and nobody answers there\..* own: unset DUETIME_DATABASE_URL$/m)
        yield* shown(running, /waiting for the database: ConnectionError/)
        running.kill("SIGINT")
        assert.deepStrictEqual(yield* Effect.promise(() => running.ended), { status: 0, signal: null })
        assert.lengthOf(running.stdout.match(/nobody answers there/g) ?? [], 1)
      }).pipe(Effect.scoped),
    timeout
  )

  it.live("refuses flags that go against each other", () =>
    Effect.gen(function* () {
      const both = yield* runCli(["dev", "--demo", "--tasks", "tasks.ts"])
      assert.match(both.stderr, /--demo has tasks of its own/)
      const elsewhere = yield* runCli(["dev", "--fresh"], { DUETIME_DATABASE_URL: "postgresql://app@localhost/app" })
      assert.match(elsewhere.stderr, /--fresh and --port are for the database of duetime dev/)
      assert.deepStrictEqual([both.status, elsewhere.status], [2, 2])
    })
  )
})

layer(database(), { excludeTestServices: true })("duetime dev --demo", (it) => {
  it.effect(
    "shows the attempts of its kinds, and why one has failed, on the database of the environment",
    () =>
      Effect.gen(function* () {
        const env = yield* environment
        const running = yield* Effect.acquireRelease(
          Effect.sync(() => new RoleProcess(["dev", "--demo"], env)),
          (running) =>
            Effect.promise(() => {
              running.kill("SIGINT")
              return running.ended
            })
        )
        yield* shown(running, /runs the demo: send-reminder, close-orders, send-receipt, charge-card/)
        yield* shown(running, /schedule close-orders --in 2s$/m)
        yield* shown(running, /send-reminder  succeeded/)
        yield* shown(running, /charge-card  failed #1  .*: BankUnavailable: the bank answers 503; again in/)
        yield* shown(running, /charge-card  succeeded #2/)
      }),
    timeout
  )
})
