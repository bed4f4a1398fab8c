import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as DuetimeError from "../../src/DuetimeError.ts"

const page = fs.readFileSync("docs/reference/errors.md", "utf8")

/** `## Name`, then the code and the exit status that the text under it states, and whether it shows a way out. */
const documented = page
  .split(/^## /m)
  .slice(1)
  .map((section) => ({
    name: section.split("\n")[0] ?? "",
    code: /^`(duetime\/\w+)`, exit status/m.exec(section)?.[1],
    exitCode: Number(/exit status (\d+)\./.exec(section)?.[1]),
    wayOut: section.includes("**Way out:**")
  }))

const errors = Object.entries(DuetimeError).filter(([, value]) => typeof value === "function" && "fields" in value)

/** Exit statuses as the sources state them: a field of the instance, so that it cannot be read off the class. */
const exitCodesInSource = new Map(
  ["src/DuetimeError.ts", "src/store/StoreError.ts", "src/broker/Broker.ts"].flatMap((file) =>
    [
      ...fs
        .readFileSync(file, "utf8")
        .matchAll(
          /export class (\w+) extends Schema\.TaggedError[^]*?\[Runtime\.errorExitCode\] = (?:exitCodes\.(\w+)|(\d+))/g
        )
    ].map(([, name = "", word, digit]): [string, number] => [
      name,
      word === undefined
        ? Number(digit)
        : Number(Object.entries(DuetimeError.exitCodes).find(([key]) => key === word)?.[1])
    ])
  )
)

describe("docs/reference/errors.md", () => {
  it("tells every public error, and no other, with its code, its exit status and a way out", () => {
    assert.isAbove(errors.length, 0)
    assert.deepStrictEqual(
      documented.toSorted((a, b) => a.name.localeCompare(b.name)),
      errors
        .map(([name]) => ({
          name,
          code: `duetime/${name}`,
          exitCode: exitCodesInSource.get(name) ?? Number.NaN,
          wayOut: true
        }))
        .toSorted((a, b) => a.name.localeCompare(b.name))
    )
  })

  it("explains every exit status that an error has", () => {
    for (const code of new Set(exitCodesInSource.values())) assert.match(page, new RegExp(`^\\| ${code} \\| \\w`, "m"))
  })
})
