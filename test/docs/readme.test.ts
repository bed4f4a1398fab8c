import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"

const read = (file: string) => fs.readFileSync(file, "utf8")

const pages = [
  "README.md",
  "CONTRIBUTING.md",
  "CHANGELOG.md",
  "SECURITY.md",
  "schema/README.md",
  ...fs
    .readdirSync("docs", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => path.posix.join("docs", file))
]

describe("README.md", () => {
  it("shows the program that examples/hello.ts is", () => {
    const [, program] = /^```ts\n([^]*?)^```$/m.exec(read("README.md")) ?? []
    assert.strictEqual(program, read("examples/hello.ts").replace('"../src/index.ts"', '"duetime"'))
  })

  it("names commands that package.json has", () => {
    const manifest = JSON.parse(read("package.json")) as { readonly scripts: Record<string, string> }
    for (const page of pages) {
      for (const [, script = ""] of read(page).matchAll(/npm run ([a-z:]+)/g))
        assert.property(manifest.scripts, script, page)
    }
  })
})

describe("every page", () => {
  it("links to files that exist", () => {
    const broken = pages.flatMap((page) =>
      [...read(page).matchAll(/\]\((?!https?:)([^)#\s]+)[^)]*\)/g)]
        .map(([, target = ""]) => path.posix.join(path.posix.dirname(page), target))
        .filter((target) => !fs.existsSync(target))
        .map((target) => `${page} -> ${target}`)
    )
    assert.deepStrictEqual(broken, [])
  })

  it("says the glossary's words, not others for the same things", () => {
    const banned = /\b(enqueue\w*|cron job|DLQ|visibility timeout)\b/i
    assert.deepStrictEqual(
      pages.filter((page) => !page.includes("adr/") && banned.test(read(page))),
      []
    )
  })
})
