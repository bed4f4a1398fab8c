import { assert } from "@effect/vitest"
import * as fs from "node:fs"

/** The code of a page's blocks of one language, as it is written there. */
export const blocksOf = (page: string, language: string): ReadonlyArray<string> =>
  [...fs.readFileSync(page, "utf8").matchAll(new RegExp(`^\`\`\`${language}\\n([^]*?)^\`\`\`$`, "gm"))].map(
    ([, block = ""]) => block
  )

/** Without what the formatter may change, comments, and what a program needs to be a module. */
const plain = (code: string): string =>
  code
    .replaceAll(/(^| +)\/\/ .*$/gm, "")
    .replaceAll(/^export /gm, "")
    .replaceAll(/\s+|[,;](?=\s|$)|,(?=\s*[)\]}])/g, "")

/** Every line of the page's TypeScript stands in one of the files, which are compiled with all tests and run by one. */
export const assertShown = (page: string, files: ReadonlyArray<string>): void => {
  const code = files.map((file) => plain(fs.readFileSync(file, "utf8"))).join("\n")
  const blocks = blocksOf(page, "ts")
  assert.isNotEmpty(blocks, page)
  for (const line of blocks.flatMap((block) => block.trim().split("\n"))) {
    // A test imports from the sources, so only the names are looked for.
    const [, imported] = /^import \{ (.+) \} from /.exec(line) ?? []
    if (imported !== undefined) {
      for (const name of imported.split(", ")) assert.include(code, name, `${page}: ${line}`)
      continue
    }
    assert.include(code, plain(`${line}\n`), `${page}: this line is in none of ${files.join(", ")}`)
  }
}
