import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { machineReference } from "./machineReference.ts"

const page = path.join(import.meta.dirname, "../../docs/reference/machine.md")

it("docs/reference/machine.md is the machine's table as it stands", () => {
  if (process.env["UPDATE_DOCS"] === "1") fs.writeFileSync(page, machineReference())
  assert.strictEqual(
    fs.readFileSync(page, "utf8"),
    machineReference(),
    "regenerate the page: UPDATE_DOCS=1 npx vitest run test/core/machineReference.test.ts"
  )
})
