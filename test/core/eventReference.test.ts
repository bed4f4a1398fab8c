import { assert, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { eventReference } from "./eventReference.ts"

const page = path.join(import.meta.dirname, "../../docs/reference/events.md")

it("docs/reference/events.md tells every event with all its fields, what it changes and how it is stored", () => {
  if (process.env["UPDATE_DOCS"] === "1") fs.writeFileSync(page, eventReference())
  assert.strictEqual(
    fs.readFileSync(page, "utf8"),
    eventReference(),
    "regenerate the page: UPDATE_DOCS=1 npx vitest run test/core/eventReference.test.ts"
  )
})
