import { assert, describe, it } from "@effect/vitest"
import * as fs from "node:fs"
import * as path from "node:path"
import { type Exceptions, type Sources, violationsOf } from "./architecture.ts"

/** The only files that may ask the machine for time or chance, and why. */
const exceptions: Exceptions = {
  "src/store/Ids.ts": [["randomUUID", "the one place where ids are born"]],
  "src/engine/WheelTimer.ts": [
    ["setTimeout", "the one timer of an engine's wheel, behind a service that simulations replace"],
    ["setImmediate", "the last millisecond, for which a timer is too coarse"]
  ]
}

const readSources = (): Sources =>
  new Map(
    fs
      .readdirSync("src", { recursive: true, encoding: "utf8" })
      .map((file) => path.posix.join("src", file))
      .filter((file) => /\.tsx?$/.test(file))
      .map((file) => [file, fs.readFileSync(file, "utf8")])
  )

const readPackages = (): ReadonlyArray<string> => {
  const manifest = JSON.parse(fs.readFileSync("package.json", "utf8")) as Record<string, Record<string, string>>
  return [...Object.keys(manifest["dependencies"] ?? {}), ...Object.keys(manifest["peerDependencies"] ?? {})]
}

describe("the house", () => {
  it("is in order: every import goes in an allowed direction, and time and chance come from services", () => {
    const sources = readSources()
    assert.isAbove(sources.size, 0)
    assert.deepStrictEqual(violationsOf(sources, readPackages(), exceptions), [])
  })

  it("takes its exceptions from files that exist", () => {
    const sources = readSources()
    assert.deepStrictEqual(
      Object.keys(exceptions).filter((file) => !sources.has(file)),
      []
    )
  })
})

describe("the check of the house", () => {
  const broken = (files: Record<string, string>): ReadonlyArray<string> =>
    violationsOf(new Map(Object.entries(files)), ["effect", "@effect/sql-pg", "kafkajs"])

  const cases: ReadonlyArray<readonly [rule: string, files: Record<string, string>, complaint: RegExp]> = [
    [
      "the core importing a port",
      { "src/core/a.ts": 'import type { S } from "../store/S.ts"', "src/store/S.ts": "" },
      /core\/a\.ts \(core\) must not import src\/store\/S\.ts \(store\)/
    ],
    [
      "the core running effects",
      { "src/core/a.ts": 'import { Effect, Option } from "effect"' },
      /must not import Effect/
    ],
    ["the core taking all of effect", { "src/core/a.ts": 'import * as E from "effect"' }, /the core is pure/],
    [
      "the core reading the clock's module",
      { "src/core/a.ts": 'import { now } from "effect/Clock"' },
      /not import Clock/
    ],
    [
      "the engine seeing an adapter",
      { "src/engine/E.ts": 'import { P } from "../store/postgres/P.ts"', "src/store/postgres/P.ts": "" },
      /must not import src\/store\/postgres\/P\.ts/
    ],
    [
      "the engine seeing the memory store",
      { "src/engine/E.ts": 'import { M } from "../store/MemoryStore.ts"', "src/store/MemoryStore.ts": "" },
      /\(store memory\)/
    ],
    [
      "the engine knowing the worker",
      { "src/engine/E.ts": 'export * from "../worker/W.ts"', "src/worker/W.ts": "" },
      /\(engine\) must not import src\/worker\/W\.ts \(worker\)/
    ],
    [
      "a dynamic import in a forbidden direction",
      { "src/worker/W.ts": 'const e = await import("../engine/E.ts")', "src/engine/E.ts": "" },
      /\(worker\) must not import src\/engine\/E\.ts/
    ],
    ["SQL outside its adapter", { "src/engine/E.ts": 'import { SqlClient } from "effect/sql"' }, /SQL is known only/],
    [
      "SQL running in the worker, which may only name its types",
      { "src/worker/W.ts": 'import { SqlClient } from "effect/sql/SqlClient"' },
      /SQL is known only/
    ],
    ["Kafka outside its adapter", { "src/layers.ts": 'import { Kafka } from "kafkajs"' }, /Kafka is known only/],
    ["a package users do not install", { "src/testing/index.ts": 'import { it } from "vitest"' }, /do not install/],
    ["an import of nothing", { "src/core/a.ts": 'import { b } from "./b.ts"' }, /does not exist/],
    ["a file outside the plan", { "src/magic/a.ts": "" }, /lies in no zone/],
    ["a folder without a noun", { "src/core/utils/a.ts": "" }, /"utils" says nothing/],
    ["a file without a noun", { "src/core/helpers.ts": "" }, /"helpers" says nothing/],
    [
      "a circle, though only of types",
      { "src/core/a.ts": 'import type { B } from "./b.ts"', "src/core/b.ts": 'import type { A } from "./a.ts"' },
      /in a circle: src\/core\/a\.ts -> src\/core\/b\.ts -> src\/core\/a\.ts/
    ],
    ["the machine's clock", { "src/engine/E.ts": "const now = Date.now()" }, /must not use Date\.now/],
    ["today's date", { "src/engine/E.ts": "const now = new Date()" }, /must not use new Date\(\)/],
    ["chance", { "src/engine/E.ts": "const x = Math.random()" }, /must not use Math\.random/],
    ["a timer", { "src/engine/E.ts": "setTimeout(f, 1)" }, /must not use setTimeout/],
    ["an id of its own", { "src/engine/E.ts": "const id = crypto.randomUUID()" }, /must not use randomUUID/]
  ]
  it.each(cases)("reports %s", (_, files, complaint) => {
    const complaints = broken(files)
    assert.isTrue(
      complaints.some((text) => complaint.test(text)),
      `got: ${complaints.join("\n") || "no complaint"}`
    )
  })

  it("reports an exception that is no longer needed", () => {
    const complaints = violationsOf(new Map([["src/engine/E.ts", ""]]), [], {
      "src/engine/E.ts": [["setTimeout", "x"]]
    })
    assert.match(complaints.join(), /no longer uses setTimeout/)
  })

  it("is silent about what is allowed, also in comments and strings", () => {
    assert.deepStrictEqual(
      broken({
        "src/core/a.ts": 'import { Schema } from "effect"\nconst at = (ms: number) => new Date(ms)',
        "src/store/S.ts": 'import { Effect } from "effect"\nimport type { A } from "../core/a.ts"',
        "src/store/postgres/P.ts": 'import { PgClient } from "@effect/sql-pg"\nimport { S } from "../S.ts"',
        "src/engine/E.ts": '// Date.now() would lie\nconst text = "setTimeout"\nimport { S } from "../store/S.ts"',
        "src/worker/W.ts": 'import type { SqlClient } from "effect/sql/SqlClient"',
        "src/layers.ts": 'import { P } from "./store/postgres/P.ts"\nimport { E } from "./engine/E.ts"'
      }),
      []
    )
  })
})
