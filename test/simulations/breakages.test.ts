/**
 * Goal: the list of breakages stays one of this protocol. Method: each is put into a copy of the sources; that the crash points catch
 * them is shown by `npm run chaos:breakages`, which takes minutes, and for the one that reaches the deepest here.
 */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import { breakages } from "../../simulations/breakages/breakages.ts"
import { replaced } from "../../simulations/breakages/brokenTree.ts"
import { pointOf } from "../../simulations/crashPoints/points.ts"

/** A short run, on a machine that is busy with other tests. */
const timeoutMs = 420_000

describe("breakages", () => {
  it("each replace a text that stands in the sources exactly once, in every one of their places", () => {
    for (const { replacements } of breakages) {
      for (const replacement of replacements) {
        const broken = replaced(fs.readFileSync(replacement.file, "utf8"), replacement)
        assert.include(broken, replacement.by)
      }
    }
  })

  it("refuse a text that is not there, or there twice", () => {
    const replacement = { file: "a.ts", text: "fence", by: "" }
    assert.throws(() => replaced("no such word", replacement), /a\.ts has this text 0 times/)
    assert.throws(() => replaced("fence, fence", replacement), /a\.ts has this text 2 times/)
  })

  it("are shown by points that exist", () => {
    const unknown = breakages.flatMap(({ points }) => points.filter((name) => pointOf(name) === undefined))
    assert.deepStrictEqual(unknown, [])
  })

  it(
    "are caught: a completion outside of its transaction by the rows that are there twice",
    async () => {
      const run = spawn(
        process.execPath,
        ["simulations/breakages/main.ts", "--broken-only", "--only", "completion-outside-the-transaction", "--json"],
        { stdio: ["ignore", "pipe", "pipe"] }
      )
      let output = ""
      let log = ""
      run.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()))
      run.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()))
      const [code] = await once(run, "close")
      assert.strictEqual(code, 0, log)
      const { caught } = JSON.parse(output) as { caught: ReadonlyArray<{ caughtBy: ReadonlyArray<string> }> }
      assert.deepStrictEqual(
        caught.map(({ caughtBy }) => caughtBy.includes("effects")),
        [true],
        log
      )
    },
    timeoutMs
  )
})
