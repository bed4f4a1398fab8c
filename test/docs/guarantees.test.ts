import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const windows = fs
  .readFileSync("docs/explain/guarantees.md", "utf8")
  .split("\n")
  .filter((line) => /^\| \d+ \|/.test(line))
  .map((line) => line.split(" | "))

const tests = fs
  .readdirSync("test", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts") && !file.startsWith("docs"))
  .map((file) => fs.readFileSync(path.join("test", file), "utf8"))
  .join("\n")

describe("docs/explain/guarantees.md", () => {
  it("names only tests that exist, for what may go wrong in 26 ways", () => {
    assert.strictEqual(windows.length, 26)
    const named = windows.flatMap((cells) =>
      [...(cells.at(-1) ?? "").matchAll(/\*([^*]+)\*/g)].map(([, name]) => name ?? "")
    )
    assert.isAbove(named.length, 0)
    assert.deepStrictEqual(
      named.filter((name) => !tests.includes(`"${name}"`)),
      []
    )
  })

  it("shows what it says is closed, and says what is not", () => {
    const unproven = windows.filter(
      (cells) => !/\*[^*]+\*|not yet shown/.test(cells.at(-1) ?? "") && !/not built/.test(cells.join(" "))
    )
    assert.deepStrictEqual(unproven, [])
  })
})
