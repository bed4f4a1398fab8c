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
  new DuetimeError.OptionsRejected({
    field: "in",
    value: "'2s'",
    wayOut: 'Give a duration such as "2 seconds", or 2000 for milliseconds; from 0 ms to 8919 years'
  }),
  new DuetimeError.KeyConflict({ kind: "charge", key: "order 7", taskId: "019f0000-0000-7000-8000-000000000000" }),
  new DuetimeError.TaskNotFound({ taskId: "019f0000-0000-7000-8000-000000000000" }),
  new DuetimeError.RecurrenceNotFound({ name: "nightly-report" }),
  new DuetimeError.RecurrenceExists({ name: "nightly-report" }),
  new DuetimeError.InvalidTransition({
    taskId: "019f0000-0000-7000-8000-000000000000",
    wish: "redrive",
    stage: "running",
    possible: ["cancel", "reprioritise"]
  }),
  new DuetimeError.DueBeyondHorizon({ field: "dueAtMs", value: "9000000000000000", horizon: "281474976710655" }),
  new DuetimeError.HandlerConflict({ kind: "send-reminder" }),
  new DuetimeError.TasksInvalid({
    module: "email.ts",
    problem: "exports neither tasks nor a default",
    wayOut: 'Export "tasks", a layer of handlers: export const tasks = Layer.mergeAll(SendEmail.handle(...), ...)'
  }),
  new DuetimeError.LeaseLost({ taskId: "019f0000-0000-7000-8000-000000000000", attempt: 2 }),
  new DuetimeError.CommitUnsupported({ taskId: "019f0000-0000-7000-8000-000000000000" }),
  new DuetimeError.ConfigInvalid({
    name: "DUETIME_DATABASE_URL",
    problem: "is not set",
    wayOut: "Set it, for example to postgresql://app:secret@localhost:5432/app"
  }),
  new DuetimeError.StoreUnavailable({ operation: "schedule", commitUnknown: false, reason: "connection refused" }),
  new DuetimeError.BrokerUnavailable({ operation: "publish", reason: "connection refused" }),
  new DuetimeError.BrokerRefused({ operation: "connect", reason: "SASL PLAIN authentication failed" }),
  new DuetimeError.TopicMissing({
    topic: "duetime.emails.critical.v1",
    wayOut: 'Run "duetime topics ensure --queue emails" or set DUETIME_KAFKA_CREATE_TOPICS=true.'
  }),
  new DuetimeError.TopicTooNarrow({
    topic: "duetime.emails.critical.v1",
    partitions: 2,
    needed: 8,
    wayOut: 'Run "duetime topics ensure --queue emails", or lower DUETIME_KAFKA_PARTITIONS.'
  }),
  new DuetimeError.ServerTooOld({ found: "13.4", needed: 15 }),
  new DuetimeError.TimeZonesOutdated({ found: "2022a", needed: "2025a", zone: "America/Mexico_City" }),
  new DuetimeError.SchemaOutdated({ found: 1, needed: 2 }),
  new DuetimeError.SchemaNewer({ found: 3, known: 2, contraction: "0003_contract_event" }),
  new DuetimeError.UnsafeDurability({ setting: "fsync", value: "off" })
] as const

const exitMeanings: Record<number, string> = {
  2: "usage",
  3: "configuration",
  4: "not found, or in conflict",
  5: "store or broker unreachable",
  6: "the database was made by a newer duetime"
}

/** `## Name` with the text under it. */
const sections = new Map(
  fs
    .readFileSync("docs/reference/errors.md", "utf8")
    .split(/^## /m)
    .map((section) => [section.split("\n")[0] ?? "", section])
)

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

  it("docs/reference/errors.md tells each, and no other: code, exit status, when, the way out, and a message", () => {
    assert.sameMembers(
      [...sections.keys()].slice(1),
      examples.map((error) => error._tag)
    )
    for (const error of examples) {
      const section = sections.get(error._tag) ?? ""
      assert.match(
        section,
        new RegExp(`^\`${DuetimeError.codeOf(error)}\`, exit status ${error[Runtime.errorExitCode]}\\. \\S`, "m")
      )
      assert.include(section, "**Way out:**")
      assert.include(section, `\`\`\`\n${error.message}\n\`\`\``)
    }
  })

  it("docs/reference/errors.md explains every exit status", () => {
    for (const [code, meaning] of Object.entries(exitMeanings)) {
      assert.include([...sections.values()][0] ?? "", `| ${code} | ${meaning}`)
    }
  })
})
