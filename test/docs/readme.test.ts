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
  "simulations/README.md",
  ...fs
    .readdirSync("docs", { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".md"))
    .map((file) => path.posix.join("docs", file))
]

describe("README.md", () => {
  it("shows the programs that examples/hello.ts and examples/helloPromise.ts are", () => {
    const programs = [...read("README.md").matchAll(/^```ts\n([^]*?)^```$/gm)].map(([, program]) => program)
    assert.deepStrictEqual(programs, [
      read("examples/hello.ts").replace('"../src/index.ts"', '"duetime"'),
      read("examples/helloPromise.ts").replace('"../src/promise/index.ts"', '"duetime/promise"')
    ])
  })

  it("names commands that package.json has", () => {
    const manifest = JSON.parse(read("package.json")) as { readonly scripts: Record<string, string> }
    for (const page of pages) {
      for (const [, script = ""] of read(page).matchAll(/npm run ([a-z:]+)/g))
        assert.property(manifest.scripts, script, page)
    }
  })
})

/** What a page links to within the repository: file and anchor. */
const linksOf = (page: string) =>
  [...read(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?[^)]*\)/g)].map(([, file = "", anchor = ""]) => ({
    file: file === "" ? page : path.posix.join(path.posix.dirname(page), file),
    anchor
  }))

/** As GitHub makes them of headings. */
const anchorsOf = (page: string): ReadonlyArray<string> =>
  read(page)
    .replaceAll(/^```[^]*?^```$/gm, "")
    .split("\n")
    .flatMap((line) => /^#+ (.+)$/.exec(line)?.[1] ?? [])
    .map((heading) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{L}\p{N}\s_-]/gu, "")
        .replaceAll(" ", "-")
    )

describe("every page", () => {
  it("links to files that exist, and to headings that they have", () => {
    const broken = pages.flatMap((page) =>
      linksOf(page)
        .filter(
          ({ anchor, file }) =>
            !fs.existsSync(file) || (anchor !== "" && file.endsWith(".md") && !anchorsOf(file).includes(anchor))
        )
        .map(({ anchor, file }) => `${page} -> ${file}#${anchor}`)
    )
    assert.deepStrictEqual(broken, [])
  })

  it("is reached from README.md, and listed in docs/README.md if it is of docs", () => {
    const fromTop = new Set(["README.md"])
    for (const page of fromTop) if (pages.includes(page)) for (const { file } of linksOf(page)) fromTop.add(file)
    assert.deepStrictEqual(
      pages.filter((page) => !fromTop.has(page)),
      []
    )
    const listed = new Set(linksOf("docs/README.md").map(({ file }) => file))
    assert.deepStrictEqual(
      pages.filter((page) => page.startsWith("docs/") && page !== "docs/README.md" && !listed.has(page)),
      [],
      "list it in docs/README.md, by what its reader wants"
    )
  })

  it("says the glossary's words, not others for the same things", () => {
    const banned = /\b(enqueue\w*|cron job|DLQ|visibility timeout)\b/i
    assert.deepStrictEqual(
      pages.filter((page) => !page.includes("adr/") && banned.test(read(page))),
      []
    )
  })
})
