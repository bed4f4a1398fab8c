import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { builtInSentences } from "../../src/testing/simulation/judge.ts"

const guide = fs.readFileSync("docs/guide/simulating.md", "utf8")
const plain = (text: string) => text.replaceAll(/\s+/g, " ").trim()

describe("docs/guide/simulating.md", () => {
  it("shows the code of the example, which is compiled and run by its own test", () => {
    const example = ["examples/cardPayments.ts", "examples/cardPaymentsSimulation.ts"]
      .map((file) => plain(fs.readFileSync(file, "utf8")))
      .join(" ")
    const blocks = [...guide.matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, block = ""]) => plain(block))
    assert.isAtLeast(blocks.length, 4)
    for (const block of blocks) assert.include(example, block)
  })

  it("names every option", () => {
    const source = fs.readFileSync("src/testing/simulation/simulate.ts", "utf8")
    const [, body = ""] = /export type SimulateOptions[^{]*\{([^]*?)^\}/m.exec(source) ?? []
    const options = [...body.matchAll(/^ {2}readonly (\w+)/gm)].map(([, name = ""]) => name)
    assert.isAbove(options.length, 8)
    for (const name of options) assert.match(guide, new RegExp(`^\\| [^|]*\`${name}\``, "m"))
  })

  it("tells of as many sentences as are held", () => {
    assert.lengthOf(builtInSentences, 9)
  })
})
