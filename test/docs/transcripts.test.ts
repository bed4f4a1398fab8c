import { assert, describe, it, layer } from "@effect/vitest"
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { paintFor } from "../../src/cli/render/paint.ts"
import { timeline } from "../../src/cli/render/timeline.ts"
import type { EventBody, TaskEvent } from "../../src/core/TaskEvent.ts"
import { viewOf } from "../../src/TaskView.ts"
import { runCli } from "../cli/runCli.ts"
import { database, TestDatabase } from "../setup/database.ts"
import { reference, shownBelow } from "./transcriptShape.ts"

const taskId = "019ab1d6-9c00-7a1b-8c2d-0123456789ab"
const dueAtMs = Date.UTC(2026, 10, 23, 9)

/** A task that failed once, told as `duetime task` tells it. */
const told = (key: string | null, claimedMs: number, dispatchedMs: number, startedMs: number): string => {
  const error = { name: "Mailer", message: "503" }
  const start = (attempt: number, dispatchedAfterMs: number): EventBody => ({
    _tag: "AttemptStarted",
    attempt,
    sessionId: 7,
    deadlineAtMs: dueAtMs + 60_000,
    dispatchedAtMs: dueAtMs + dispatchedAfterMs
  })
  const payload = { email: "ada@example.com" }
  const steps: ReadonlyArray<readonly [afterDueMs: number, body: EventBody]> = [
    [-10_800_000, { _tag: "TaskScheduled", kind: "send-reminder", priority: "high", dueAtMs, key, payload }],
    [claimedMs, { _tag: "TaskClaimed", sessionId: 2 }],
    [startedMs, start(1, dispatchedMs)],
    [1_200, { _tag: "AttemptFailed", attempt: 1, error, dueAtMs: dueAtMs + 3_300 }],
    [2_000, { _tag: "TaskClaimed", sessionId: 2 }],
    [3_302.5, start(2, 3_300.5)],
    [3_390.5, { _tag: "AttemptSucceeded", attempt: 2, result: { sent: true } }]
  ]
  const history = steps.map(([afterDueMs, body], index): TaskEvent => ({
    ...body,
    taskId,
    version: index + 1,
    eventId: String(index),
    atMs: dueAtMs + afterDueMs
  }))
  const view = viewOf(history)
  return view === null ? "" : timeline(view, history, paintFor(false))
}

describe("the transcript of duetime task", () => {
  it("in docs/reference/cli.md is what the command says of such a task", () => {
    assert.strictEqual(shownBelow(reference, `duetime task ${taskId}`), told("order-7", 12, 21, 41))
  })

  it("in README.md is the beginning of what the command says of such a task", () => {
    const shown = shownBelow(fs.readFileSync("README.md", "utf8"), `npx duetime task ${taskId}`)
    assert.match(shown, /\n {2}\.\.\.$/)
    assert.include(told(null, -1_500, 1, 4), shown.replace(/\n {2}\.\.\.$/, ""))
  })
})

describe("the transcript of duetime import", () => {
  it.live("is what the command says of such a file", () =>
    Effect.gen(function* () {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-transcript-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => fs.rmSync(folder, { recursive: true })))
      const file = path.join(folder, "tasks.jsonl")
      const lines = Array.from({ length: 1_203 }, (_, n) => JSON.stringify({ kind: "remind", payload: { n } }))
      fs.writeFileSync(file, [...lines, JSON.stringify({ kind: "remind", priority: "urgent" })].join("\n"))
      const { stderr, stdout } = yield* runCli(["import", file, "--dry-run"])
      assert.strictEqual(
        `${stdout}${stderr}`.replace(file, "tasks.jsonl").trim(),
        shownBelow(reference, "duetime import tasks.jsonl --dry-run")
      )
    }).pipe(Effect.scoped)
  )
})

const Examined = Schema.fromJsonString(
  Schema.Struct({
    checks: Schema.Array(Schema.String),
    skipped: Schema.Array(Schema.Struct({ check: Schema.String }))
  })
)

layer(database(), { excludeTestServices: true, timeout: 60_000 })("the checks of duetime doctor", (it) => {
  it.effect("stand in docs/reference/cli.md, all of them and no other", () =>
    Effect.gen(function* () {
      const { url } = yield* TestDatabase
      const env = { DUETIME_DATABASE_URL: url, DUETIME_UNSAFE_DURABILITY: "true" }
      yield* runCli(["migrate"], env)
      const { stdout } = yield* runCli(["doctor", "--json"], env)
      const { checks, skipped } = yield* Schema.decodeUnknownEffect(Examined)(stdout)
      const made = [...checks, ...skipped.map(({ check }) => check)]
      const [, section = ""] = reference.split("## `duetime doctor`")
      const listed = [...(section.split("\n## ")[0] ?? "").matchAll(/^\| `([\w-]+)` \|/gm)].map(([, name]) => name)
      assert.sameMembers(listed, made)
    })
  )
})
