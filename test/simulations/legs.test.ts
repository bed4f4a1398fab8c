import { assert, describe, it } from "@effect/vitest"
import { spawn, spawnSync } from "node:child_process"
import * as path from "node:path"
import { mutants } from "../../simulations/mutants/mutants.ts"
import { runScenario } from "../../simulations/scenarios/crashAt.ts"
import { failuresText } from "../../simulations/scenarios/report.ts"
import { type LegsOfScenario, runLegs } from "../../simulations/scenarios/runLegs.ts"
import { scenarios } from "../../simulations/scenarios/scenarios.ts"

const named = (name: string) => {
  const scenario = scenarios.find((other) => other.name === name)
  if (scenario === undefined) throw new Error(`no scenario ${name}`)
  return scenario
}
const breakageOf = (name: string) => mutants.find((mutant) => mutant.name === name)?.breakage

const main = path.resolve(import.meta.dirname, "../../simulations/scenarios/main.ts")
const run = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, [main, ...args], { encoding: "utf8" })
  return { status, stdout, stderr }
}

describe("a crash at every leg", () => {
  it("has at least twelve canonical scenarios, each with a name of its own", () => {
    assert.isAtLeast(new Set(scenarios.map(({ name }) => name)).size, 12)
    assert.strictEqual(new Set(scenarios.map(({ name }) => name)).size, scenarios.length)
  })

  it.each(scenarios.map(({ name }) => name))("of %s breaks no sentence", { timeout: 120_000 }, (name) => {
    let found: LegsOfScenario | undefined
    for (const row of runLegs(named(name), { pairs: false })) found = row
    assert.strictEqual(failuresText(found?.firstFailures ?? []), "")
    assert.isAbove(found?.legsCount ?? 0, 0)
    assert.strictEqual(found?.crashedCount, found?.legsCount)
  })

  it("is passed by clients, engines and workers, at the store and at the broker", () => {
    const calls = new Set<string>()
    for (const row of runLegs(named("commits"), { pairs: false })) {
      for (const call of Object.keys(row.legsByCall)) calls.add(call)
      break
    }
    for (const call of ["client schedule", "engine claim", "engine publish", "worker consume", "worker finishWith"]) {
      assert.isTrue(calls.has(call), `${call} of ${[...calls].join(", ")}`)
    }
  })

  it("shows what no undisturbed run does: that nobody repairs what the dead have held", { timeout: 60_000 }, () => {
    const breakage = breakageOf("expire-nothing")
    assert.deepStrictEqual(runScenario(named("succeeds"), [], breakage).broken, [])
    let found: LegsOfScenario | undefined
    for (const row of runLegs(named("succeeds"), { breakage, pairs: false })) {
      found = row
      if (row.failuresCount > 0) break
    }
    const [failure] = found?.firstFailures ?? []
    assert.isDefined(failure)
    assert.deepStrictEqual(
      runScenario(named("succeeds"), failure?.legNumbers ?? [], breakage).broken,
      failure?.broken ?? []
    )
  })
})

describe("npm run simulate:legs", () => {
  it("runs one leg and tells who died and what became of the task", () => {
    const { status, stdout } = run("--scenario", "succeeds", "--leg", "11")
    assert.strictEqual(status, 0)
    assert.match(stdout, /crashed at 11 \(\w+\.1 \w+\.\w+\)/)
    assert.match(stdout, /ms {2}\d AttemptSucceeded/)
    const document = JSON.parse(run("--scenario", "succeeds", "--leg", "11", "--json").stdout)
    assert.deepInclude(document, { ok: true, scenario: "succeeds", legNumbers: [11], broken: [] })
    assert.strictEqual(document.cut.length, 1)
  })

  it("names what it does not know, and a leg that there is not", () => {
    assert.match(run("--scenario", "nothing").stderr, /--scenario nothing: give one of succeeds/)
    assert.match(run("--leg", "3").stderr, /--leg is of one scenario/)
    const { status, stderr } = run("--scenario", "succeeds", "--leg", "9000")
    assert.strictEqual(status, 2)
    assert.match(stderr, /this run has \d+ legs/)
  })

  it("fails with the command that shows a failure again", { timeout: 60_000 }, () => {
    const { status, stdout } = run("--scenario", "succeeds", "--no-pairs", "--mutant", "expire-nothing", "--json")
    assert.strictEqual(status, 1)
    const [failure] = JSON.parse(stdout).scenarios[0].firstFailures
    assert.match(failure.command, /^npm run simulate:legs -- --scenario succeeds --leg \d+ --mutant expire-nothing$/)
    const again = run(...failure.command.replace("npm run simulate:legs -- ", "").split(" "), "--json")
    assert.strictEqual(again.status, 1)
    assert.deepStrictEqual(JSON.parse(again.stdout).broken, failure.broken)
  })

  it("tells what it has when it is interrupted, and does not exit with 0", { timeout: 60_000 }, async () => {
    const child = spawn(process.execPath, [main, "--json"], { stdio: ["ignore", "pipe", "pipe"] })
    let out = ""
    child.stdout.on("data", (chunk) => (out += chunk))
    child.stderr.once("data", () => child.kill("SIGINT"))
    const status = await new Promise((resolve) => child.once("exit", resolve))
    const document = JSON.parse(out)
    assert.strictEqual(status, 1)
    assert.deepInclude(document, { ok: false, isInterrupted: true, failuresCount: 0 })
    assert.isAbove(document.runsCount, 0)
  })
})
