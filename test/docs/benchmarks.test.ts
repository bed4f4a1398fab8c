import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import { page } from "../../bench/peers/page.ts"

describe("docs/benchmarks.md", () => {
  it("is what `npm run bench -- docs` makes of bench/results", () => {
    assert.strictEqual(fs.readFileSync("docs/benchmarks.md", "utf8"), page(), "run: npm run bench -- docs")
  })
})
