import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { type Ended, runCli, runProcess } from "./runCli.ts"

const nowhere = { DUETIME_DATABASE_URL: "postgresql://app@localhost:5432/app?host=%2Fno%2Fsuch%2Ffolder" }
const id = "019ab1d6-9c00-7a1b-8c2d-0123456789ab"

/** A failure says one thing on stderr and nothing on stdout. */
const assertFailed = (ended: Ended, status: number, message: RegExp) => {
  assert.match(ended.stderr, message)
  assert.deepStrictEqual({ status: ended.status, stdout: ended.stdout }, { status, stdout: "" })
}

describe("duetime without a database", () => {
  const wrongCalls: ReadonlyArray<readonly [call: string, args: ReadonlyArray<string>, message: RegExp]> = [
    ["an unknown command", ["taks"], /^Unknown subcommand "taks"[^]*Did you mean this\?\n\s+tasks\n/],
    ["an unknown flag", ["tasks", "--stag", "dead"], /^Unrecognized flag: --stag [^]*See "duetime tasks --help"\.\n$/],
    ["an unknown stage", ["tasks", "--stage", "done"], /^Invalid value for flag --stage: "done"/],
    ["a missing id", ["task"], /^Missing required argument: id\n/],
    ["a span that is none", ["schedule", "k", "--in", "soon"], /"soon" is no span; write 500ms, 90s, 5m/],
    ["a payload that is no JSON", ["schedule", "k", "--payload", "{"], /the payload is not JSON/],
    [
      "a redrive of nothing",
      ["dead", "redrive"],
      /^Give the ids of dead letters, or --all, or --group\.\nSee "duetime dead redrive --help"/
    ],
    ["a redrive of ids and all", ["dead", "redrive", id, "--all"], /^Give ids or --all, not both\.\n/],
    ["a kind without --all", ["dead", "redrive", id, "--kind", "k"], /^--kind goes with --all or --group\.\n/],
    ["a ramp of one id", ["dead", "redrive", id, "--ramp"], /^--ramp goes with --all or --group\.\n/],
    ["a payload for many", ["dead", "redrive", "--all", "--payload", "1"], /^--payload goes with one id\.\n/],
    ["a discard without a reason", ["dead", "discard", id], /^Missing required flag: --reason\n/]
  ]
  it.live.each(wrongCalls)("is called wrongly with %s: status 2, and where to look", ([, args, message]) =>
    Effect.gen(function* () {
      assertFailed(yield* runCli(args, nowhere), 2, message)
    })
  )

  it.live("tells a missing setting, a wrong one and an absent server apart", () =>
    Effect.gen(function* () {
      assertFailed(yield* runCli(["kinds"]), 3, /^ConfigInvalid: DUETIME_DATABASE_URL is not set\. Set it, for example/)
      const wrong = yield* runCli(["kinds"], { ...nowhere, DUETIME_RETENTION_DAYS: "fortnight" })
      assertFailed(wrong, 3, /^ConfigInvalid: DUETIME_RETENTION_DAYS /)
      for (const args of [["kinds"], ["migrate", "--dry-run"], ["audit", "--json"]]) {
        assertFailed(yield* runCli(args, nowhere), 5, /^StoreUnavailable: .*no\/such\/folder/)
      }
    })
  )

  it.live("is a process that ends with those statuses, helps on stdout and knows its version", () =>
    Effect.gen(function* () {
      const [version, help, unset, absent] = yield* Effect.all(
        [
          runProcess(["--version"]),
          runProcess(["dead", "redrive", "--help"]),
          runProcess(["task", id]),
          runProcess(["task", id], nowhere)
        ],
        { concurrency: 2 }
      )
      const manifest: unknown = JSON.parse(readFileSync("package.json", "utf8"))
      assert.nestedPropertyVal(manifest, "version", version.stdout.trim().replace("duetime v", ""))
      assert.deepStrictEqual({ status: help.status, stderr: help.stderr }, { status: 0, stderr: "" })
      assert.match(help.stdout, /EXAMPLES[^]*duetime dead redrive --all --kind charge-card --dry-run/)
      assertFailed(unset, 3, /^ConfigInvalid: DUETIME_DATABASE_URL is not set\. .*\n$/)
      assertFailed(absent, 5, /^StoreUnavailable: .*\n$/)
    })
  )
})
