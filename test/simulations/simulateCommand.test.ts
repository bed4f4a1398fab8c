import { assert, describe, it } from "@effect/vitest"
import { spawn, spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

const main = path.resolve(import.meta.dirname, "../../simulations/world/main.ts")
const run = (args: ReadonlyArray<string>) => {
  const { status, stdout } = spawnSync(process.execPath, [main, "--json", ...args], { encoding: "utf8" })
  return { status, document: JSON.parse(stdout) }
}
const inFolder = <A>(body: (seedsFile: string) => A): A => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-simulate-"))
  try {
    return body(path.join(folder, "seeds.json"))
  } finally {
    fs.rmSync(folder, { recursive: true })
  }
}
const seedsIn = (file: string) => JSON.parse(fs.readFileSync(file, "utf8")).seeds

/** Those that have ever failed would run before, and be counted. */
const withoutSeeds = ["--seeds", path.join(os.tmpdir(), "duetime-no-seeds.json")]

describe("npm run simulate", () => {
  it("answers with one document and 0 where all holds", { timeout: 120_000 }, () => {
    const { document, status } = run(["--runs", "3", "--seed", "7", ...withoutSeeds])
    assert.strictEqual(status, 0)
    assert.deepInclude(document, { ok: true, historiesCount: 3, distinctCount: 3, violations: [], voidReason: null })
  })

  it("counts the same histories on two threads as on one", { timeout: 120_000 }, () => {
    const [one, two] = ["1", "2"].map((threads) => {
      const { document, status } = run(["--runs", "6", "--seed", "7", "--threads", threads, ...withoutSeeds])
      const { distinctCount, events, fired, stepsCount, windows } = document
      return { status, distinctCount, events, fired, stepsCount, windows }
    })
    assert.strictEqual(one?.distinctCount, 6)
    assert.deepStrictEqual(two, one)
  })

  it(
    "keeps a seed that fails, shrinks it to at most five faults, and prints what shows it again",
    { timeout: 240_000 },
    () =>
      inFolder((seedsFile) => {
        const flags = ["--mutant", "start-won-twice", "--seeds", seedsFile]
        const first = run(["--runs", "40", ...flags])
        assert.strictEqual(first.status, 1)
        const [violation] = first.document.violations
        assert.isAtMost(violation.history.faults.length, 5)
        assert.deepStrictEqual(seedsIn(seedsFile), [violation.seed])

        const command: string = violation.command
        assert.match(command, /^npm run simulate -- /)
        const beganAtMs = performance.now()
        const again = run([...command.replace("npm run simulate -- ", "").split(" "), "--seeds", seedsFile])
        assert.isBelow(performance.now() - beganAtMs, 10_000)
        assert.strictEqual(again.status, 1)
        assert.strictEqual(again.document.violations[0].traceHash, violation.traceHash)
        assert.deepStrictEqual(again.document.violations[0].broken, violation.broken)

        // What has failed once comes first ever after.
        const later = run(["--runs", "2", "--seed", "900000", ...flags])
        assert.strictEqual(later.document.violations[0].seed, violation.seed)
        assert.strictEqual(later.document.historiesCount, 1)
      })
  )

  it("tells what it has when it is interrupted, and does not exit with 0", { timeout: 120_000 }, async () => {
    const child = spawn(process.execPath, [main, "--json", "--runs", "1000000"], { stdio: ["ignore", "pipe", "pipe"] })
    let out = ""
    child.stdout.on("data", (chunk) => (out += chunk))
    child.stderr.once("data", () => child.kill("SIGINT"))
    const status = await new Promise((resolve) => child.once("exit", resolve))
    const document = JSON.parse(out)
    assert.notStrictEqual(status, 0)
    assert.deepInclude(document, { ok: false, isInterrupted: true, violations: [] })
    assert.isAbove(document.historiesCount, 0)
  })
})
