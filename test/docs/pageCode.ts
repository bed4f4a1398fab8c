import { assert } from "@effect/vitest"
import * as fs from "node:fs"

/** The code of a page's blocks of one language, as it is written there. */
export const blocksOf = (page: string, language: string): ReadonlyArray<string> =>
  [...fs.readFileSync(page, "utf8").matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm"))].map(
    ([, block = ""]) => block
  )

/** Without what the formatter may change, and without comments at the end of a line. */
const plain = (code: string): string =>
  code
    .replaceAll(/ +\/\/ .*$/gm, "")
    .replaceAll('"../../src/index.ts"', '"duetime"')
    .replaceAll('"../../src/promise/index.ts"', '"duetime/promise"')
    .replaceAll('"../../src/testing/index.ts"', '"duetime/testing"')
    .replaceAll(/\s+|[,;](?=\s|$)|,(?=\s*[)\]}])/g, "")

/** Every line of the page's TypeScript stands in one of the files, which are compiled with all tests and run by one. */
export const assertShown = (page: string, files: ReadonlyArray<string>): void => {
  const code = files.map((file) => plain(fs.readFileSync(file, "utf8"))).join("\n")
  const blocks = blocksOf(page, "ts")
  assert.isNotEmpty(blocks, page)
  for (const line of blocks.flatMap((block) => block.trim().split("\n"))) {
    assert.include(code, plain(`${line}\n`), `${page}: this line is in none of ${files.join(", ")}`)
  }
}
