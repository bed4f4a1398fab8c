import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { CliOutput, Command, type HelpDoc } from "effect/cli"
import { NodeServices } from "@effect/platform-node"
import * as fs from "node:fs"
import { rootCommand } from "../../src/cli/rootCommand.ts"

/** What `--help` says, as data. */
const helpOf = Effect.fnUntraced(function* (path: ReadonlyArray<string>) {
  const docs: Array<HelpDoc.HelpDoc> = []
  const presenter: CliOutput.Presenter = {
    present: (event) => Effect.sync(() => event._tag === "Help" && docs.push(event.helpDoc))
  }
  yield* Command.runWith(rootCommand, { version: "0.0.0" })([...path, "--help"]).pipe(
    Effect.provideService(CliOutput.Presenter, presenter),
    Effect.provide(NodeServices.layer)
  )
  const [doc] = docs
  if (doc === undefined) return yield* Effect.die(new Error(`no help of ${path.join(" ")}`))
  return doc
})

/** Every command that does something, with its help. */
const commands = (
  path: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<{ readonly path: ReadonlyArray<string>; readonly help: HelpDoc.HelpDoc }>, unknown> =>
  Effect.gen(function* () {
    const help = yield* helpOf(path)
    const names = (help.subcommands ?? []).flatMap(({ commands }) => commands.map(({ name }) => name))
    if (names.length === 0) return [{ path, help }]
    return (yield* Effect.forEach(names, (name) => commands([...path, name]))).flat()
  })

const sections = new Map(
  fs
    .readFileSync("docs/reference/cli.md", "utf8")
    .split(/^## /m)
    .slice(1)
    .map((section) => [/^`([^`]+)`/.exec(section)?.[1] ?? section, section])
)

describe("docs/reference/cli.md", () => {
  it.effect("has a section for every command, with its arguments, and tells each of its flags", () =>
    Effect.gen(function* () {
      const all = yield* commands([])
      assert.sameMembers(
        [...sections.keys()],
        all.map(({ help, path }) => ["duetime", ...path, ...(help.args ?? []).map(({ name }) => `<${name}>`)].join(" "))
      )
      for (const { help, path } of all) {
        const section = [...sections].find(([title]) => `${title} `.startsWith(`duetime ${path.join(" ")} `))?.[1] ?? ""
        const named = new Set(section.match(/--[a-z-]+/g))
        assert.deepStrictEqual(
          help.flags.map(({ name }) => `--${name}`).filter((flag) => !named.has(flag)),
          [],
          path.join(" ")
        )
      }
    })
  )

  it.effect("stands on help that has a description for every flag and argument, and an example for every command", () =>
    Effect.gen(function* () {
      for (const { help, path } of yield* commands([])) {
        const texts = [...help.flags, ...(help.args ?? [])].map(({ description }) =>
          Option.getOrElse(description, () => "")
        )
        assert.notInclude(texts, "", path.join(" "))
        assert.isNotEmpty(help.examples ?? [], path.join(" "))
      }
    })
  )

  it.effect("and every page: each command line in a block is of a command that exists, with flags that it has", () =>
    Effect.gen(function* () {
      const all = yield* commands([])
      const wrong = lines.flatMap(({ line, page }) => {
        const words = line.split(/\s+/)
        const found = all
          .filter(({ path }) => path.every((word, index) => words[index] === word))
          .toSorted((one, other) => other.path.length - one.path.length)[0]
        if (found === undefined) return [`${page}: no such command: duetime ${line}`]
        const known = new Set([
          ...globalFlags,
          ...found.help.flags.flatMap(({ aliases, name }) => [`--${name}`, ...aliases])
        ])
        return words
          .filter((word) => /^--?[a-z]/.test(word) && !known.has(word.split("=")[0] ?? word))
          .map((flag) => `${page}: duetime ${found.path.join(" ")} has no ${flag}`)
      })
      assert.isAbove(lines.length, 25)
      assert.deepStrictEqual(wrong, [])
    })
  )
})

/** Of every command. */
const globalFlags = ["--json", "--jsonl", "--help", "--completions", "--version"]

const pages = [
  "README.md",
  ...fs.readdirSync("docs", { recursive: true, encoding: "utf8" }).map((file) => `docs/${file}`)
]

/** What stands after `duetime` in the blocks of all pages, quoted values left out. */
const lines = pages
  .filter((page) => page.endsWith(".md"))
  .flatMap((page) =>
    [...fs.readFileSync(page, "utf8").matchAll(/^```(?:sh)?\n([^]*?)^```$/gm)].flatMap(([, block = ""]) =>
      [...block.matchAll(/^(?:\$ |    \$ )?(?:npx )?duetime (.+)$/gm)].map(([, line = ""]) => ({
        page,
        line: line
          .replaceAll(/'[^']*'|"[^"]*"/g, "''")
          .replace(/\s+#.*$/, "")
          .replace(/ \|.*$/, "")
      }))
    )
  )
