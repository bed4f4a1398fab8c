import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import { slow } from "./SlowFirst.ts"

it("the files that begin first are there", () => {
  assert.deepStrictEqual(
    slow.filter((file) => !fs.existsSync(file)),
    []
  )
})
