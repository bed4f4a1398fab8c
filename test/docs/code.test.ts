import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { assertShown, blocksOf } from "./pageCode.ts"

/** Where the TypeScript of each page stands as a program. */
const shownBy: Readonly<Record<string, ReadonlyArray<string>>> = {
  "docs/guide/calendars.md": ["test/docs/calendars.test.ts"],
  "docs/guide/coming-from.md": ["test/docs/comingFrom.test.ts"],
  "docs/guide/dead-letters.md": ["test/docs/guides.test.ts"],
  "docs/guide/deploying.md": ["test/docs/guides.test.ts"],
  "docs/guide/following.md": ["test/docs/guides.test.ts"],
  "docs/guide/handlers.md": ["test/docs/guides.test.ts"],
  "docs/guide/idempotency.md": ["test/docs/idempotency.test.ts"],
  "docs/guide/observing.md": ["test/docs/observing.test.ts"],
  "docs/guide/recurrences.md": ["test/docs/recurrences.test.ts"],
  "docs/guide/retries.md": ["test/docs/guides.test.ts"],
  "docs/guide/simulating.md": ["examples/cardPayments.ts", "examples/cardPaymentsSimulation.ts"],
  "docs/guide/testing.md": ["test/docs/testing.test.ts"],
  "docs/guide/transactions.md": ["test/docs/transactions.test.ts"],
  "docs/start.md": ["test/docs/guides.test.ts", "examples/tasks.ts"]
}

const pages = fs
  .readdirSync("docs", { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".md"))
  .map((file) => path.posix.join("docs", file))

describe("the TypeScript of a page", () => {
  it("has a file for every page that shows some", () => {
    assert.sameMembers(
      pages.filter((page) => blocksOf(page, "ts").length > 0),
      Object.keys(shownBy)
    )
  })

  for (const [page, files] of Object.entries(shownBy)) {
    it(`${page} is compiled and run`, () => assertShown(page, files))
  }
})
