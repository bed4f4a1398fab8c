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
})
