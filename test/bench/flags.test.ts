import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import { readFlags, usage } from "../../bench/flags.ts"

describe("npm run bench", () => {
  it("reads its flags, and leaves to the scenario what is not given", () => {
    const flags = readFlags(["soak", "--rate", "1000", "--json"])
    assert.strictEqual(flags.scenario, "soak")
    assert.isTrue(flags.json)
    assert.strictEqual(flags.number("rate"), 1_000)
    assert.isUndefined(flags.number("seconds"))
  })

  const mistakes: ReadonlyArray<readonly [args: ReadonlyArray<string>, message: RegExp]> = [
    [["drift", "--rate", "fast"], /^--rate fast: give a whole number from 1 to 1000000\.$/],
    [["drift", "--seconds", "0"], /^--seconds 0: give a whole number from 1 /],
    [["drift", "--rounds", "2.5"], /^--rounds 2\.5: give a whole number/],
    [["drift", "scale"], /^scale: one scenario at a time\.$/],
    [["drift", "--second", "5"], /^Unknown option '--second'/]
  ]
  for (const [args, message] of mistakes) {
    it(`refuses ${args.join(" ")}`, () => {
      assert.throws(() => readFlags(args), message)
    })
  }

  it("ends with 2 and a way out when it is asked wrongly, and tells in its help of every scenario", () => {
    const bench = (...args: ReadonlyArray<string>) =>
      spawnSync(process.execPath, ["bench/main.ts", ...args], { encoding: "utf8" })
    const wrong = bench("drift", "--rate", "fast")
    assert.strictEqual(wrong.status, 2)
    assert.strictEqual(wrong.stdout, "")
    assert.match(wrong.stderr, /^bench: --rate fast: .* See npm run bench -- --help\n$/)

    const unknown = bench("dirft")
    assert.strictEqual(unknown.status, 2)
    const [, known = ""] = /choose one of (.*)\n/.exec(unknown.stderr) ?? []
    const scenarios = known.split(", ")
    assert.isAbove(scenarios.length, 20)
    assert.deepStrictEqual(
      scenarios.filter((scenario) => !new RegExp(`\\b${scenario}\\b`).test(usage)),
      []
    )
    const help = bench("--help")
    assert.strictEqual(help.status, 0)
    assert.strictEqual(help.stdout, `${usage}\n`)
  })
})
