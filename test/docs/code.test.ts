import { describe, it } from "@effect/vitest"
import { assertShown } from "./pageCode.ts"

/** Where the TypeScript of each page stands as a program. */
const shownBy: Readonly<Record<string, ReadonlyArray<string>>> = {
  "docs/guide/coming-from.md": ["test/docs/comingFrom.test.ts"],
  "docs/guide/idempotency.md": ["test/docs/idempotency.test.ts"],
  "docs/guide/transactions.md": ["test/docs/transactions.test.ts"]
}

describe("the TypeScript of a page", () => {
  for (const [page, files] of Object.entries(shownBy)) {
    it(`${page} is compiled and run`, () => assertShown(page, files))
  }
})
