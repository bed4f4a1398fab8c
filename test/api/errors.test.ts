import { assert, describe, it } from "@effect/vitest"
import { Runtime } from "effect"
import * as fs from "node:fs"
import * as DuetimeError from "../../src/DuetimeError.ts"

/** One of each, as a user may meet it. */
const examples = [
  new DuetimeError.PayloadRejected({
    kind: "send-reminder",
    path: "$.email",
    problem: "Expected string, got 7",
    wayOut: "Give what the payload schema of the kind asks for"
  }),
  new DuetimeError.OptionsRejected({ field: "in", value: "-1", wayOut: 'Give a duration, such as "30 seconds"' }),
  new DuetimeError.KeyConflict({ kind: "charge", key: "order 7", taskId: "019f0000-0000-7000-8000-000000000000" }),
  new DuetimeError.TaskNotFound({ taskId: "019f0000-0000-7000-8000-000000000000" }),
  new DuetimeError.InvalidTransition({
    taskId: "019f0000-0000-7000-8000-000000000000",
    wish: "redrive",
    stage: "running",
    possible: ["cancel", "reprioritise"]
  }),
  new DuetimeError.DueBeyondHorizon({ field: "dueAtMs", value: "9000000000000000", horizon: "281474976710655" }),
  new DuetimeError.HandlerConflict({ kind: "send-reminder" }),
  new DuetimeError.LeaseLost({ taskId: "019f0000-0000-7000-8000-000000000000", attempt: 2 }),
  new DuetimeError.CommitUnsupported({ taskId: "019f0000-0000-7000-8000-000000000000" }),
  new DuetimeError.ConfigInvalid({
    name: "DUETIME_DATABASE_URL",
    problem: "is not set",
    wayOut: "Set it, for example to postgresql://app:secret@localhost:5432/app"
  }),
  new DuetimeError.StoreUnavailable({ operation: "schedule", commitUnknown: false, reason: "connection refused" }),
  new DuetimeError.BrokerUnavailable({ operation: "publish", reason: "connection refused" }),
  new DuetimeError.SchemaOutdated({ found: 1, needed: 2 }),
  new DuetimeError.SchemaNewer({ found: 3, known: 2 }),
  new DuetimeError.UnsafeDurability({ setting: "fsync", value: "off" })
] as const

const exitMeanings: Record<number, string> = {
  2: "usage",
  3: "configuration",
  4: "not found or conflict",
  5: "store or broker unreachable",
  6: "schema newer than code"
}

const page = "docs/reference/errors.md"

const reference = () =>
  [
    "# Errors",
    "",
    "<!-- Made from src/DuetimeError.ts by test/api/errors.test.ts: UPDATE_DOCS=1 npx vitest run test/api/errors.test.ts -->",
    "",
    "Every error has a tag, which is stable; its code is `duetime/` and the tag, the same in logs, over HTTP and in the",
    "terminal. A program that ends with one exits with the status given here (1: the asked-for thing failed; 130:",
    "interrupted). What a handler fails with is none of these: it is kept in the task's history.",
    "",
    ...examples
      .toSorted((one, other) => one._tag.localeCompare(other._tag))
      .flatMap((error) => [
        `## ${error._tag}`,
        "",
        `Code \`${DuetimeError.codeOf(error)}\`, exit status ${error[Runtime.errorExitCode]} (${exitMeanings[error[Runtime.errorExitCode]]}).`,
        "",
        "```",
        error.message,
        "```",
        ""
      ])
  ].join("\n")

describe("the public errors", () => {
  for (const error of examples) {
    it(`${error._tag} says on one line what happened, and then what to do`, () => {
      assert.match(error.message, new RegExp(`^${error._tag}: .+\\. .+\\.?$`))
      assert.notInclude(error.message, "\n")
      assert.isAbove(error.message.split(/[.:] /).length, 1)
      assert.isDefined(exitMeanings[error[Runtime.errorExitCode]])
    })
  }

  it("every exported error is among them", () => {
    const exported = Object.entries(DuetimeError)
      .filter(([, value]) => typeof value === "function" && value.prototype instanceof Error)
      .map(([name]) => name)
    assert.sameMembers(
      exported,
      examples.map((error) => error._tag)
    )
  })

  it("docs/reference/errors.md is what the code says", () => {
    if (process.env["UPDATE_DOCS"] === "1") fs.writeFileSync(page, reference())
    assert.strictEqual(fs.readFileSync(page, "utf8"), reference())
  })
})
