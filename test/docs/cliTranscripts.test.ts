/** The transcripts of docs/reference/cli.md, each command run on a server on which there is something to see. */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it, layer } from "@effect/vitest"
import { Clock, Effect, Layer, Redacted } from "effect"
import { Reactivity } from "effect/reactivity"
import { defaultKindPolicy } from "../../src/core/KindPolicy.ts"
import type { Outcome } from "../../src/core/TaskCommand.ts"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { Recurrences, Task } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import { Ids } from "../../src/store/Ids.ts"
import { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { Session } from "../../src/store/Session.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { runCli } from "../cli/runCli.ts"
import { missingLine, reference, shownBelow } from "./transcriptShape.ts"

const kinds = ["charge-card", "close-day", "take-stock"]
const hourMs = 3_600_000
const dayMs = 24 * hourMs

const client = Layer.unwrap(
  Effect.map(EmbeddedPostgres, ({ url }) => PgClient.layer({ url: Redacted.make(url), maxConnections: 4 }))
)
const application = layerPostgres({ migrate: true }).pipe(
  Layer.provideMerge(client),
  Layer.provideMerge(Layer.merge(EmbeddedPostgres.layer(), Reactivity.layer))
)

/** Starts and ends all that is due of a kind, dispatched a moment ago. */
const attempt = Effect.fnUntraced(function* (kind: string, outcome: Outcome) {
  const [store, session, { eventId }] = [yield* TaskStore, yield* Session, yield* Ids]
  const policy = defaultKindPolicy(kind)
  const { tasks } = yield* store.claim({ sessionId: session.id(), kinds: [kind], lookAheadMs: 0, limit: 1_000 })
  const dispatchedAtMs = (yield* Clock.currentTimeMillis) + store.clockOffsetMs()
  const started = yield* store.start(
    session.id(),
    tasks.map((task) => ({ ...task, eventId: eventId(), timeoutMs: policy.timeoutMs, dispatchedAtMs }))
  )
  yield* store.finish(
    started.flatMap((answer) =>
      answer._tag === "Started" ? [{ started: answer, eventId: eventId(), outcome, policy }] : []
    )
  )
})

const cli = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  const { url } = yield* EmbeddedPostgres
  const { stderr, stdout } = yield* runCli(args, { DUETIME_DATABASE_URL: url })
  return `${stdout}${stderr}`
})

/** With a blank line between the two where both have something, as a terminal shows them. */
const assertShown = Effect.fnUntraced(function* (command: string, args: ReadonlyArray<string>) {
  const shown = shownBelow(reference, `duetime ${command}`)
  assert.notStrictEqual(shown, "", `the page has no transcript of duetime ${command}`)
  assert.isNull(missingLine(shown, yield* cli(...args)), `docs/reference/cli.md, duetime ${command}`)
})

const schedule = Effect.fnUntraced(function* (...args: ReadonlyArray<string>) {
  return (JSON.parse(yield* cli("schedule", ...args, "--json")) as { readonly id: string }).id
})

layer(application, { excludeTestServices: true, timeout: 120_000 })("a transcript on the page of the CLI", (it) => {
  it.effect(
    "is what the command says: wait, drift, recur audit, partitions, doctor and audit",
    () =>
      Effect.gen(function* () {
        const sql = yield* PgClient.PgClient
        yield* (yield* Session).serve(kinds.map(defaultKindPolicy))
        for (const [kind, priority] of [
          ["charge-card", "critical"],
          ["charge-card", "high"],
          ["close-day", "high"],
          ["take-stock", "high"]
        ] as const)
          yield* schedule(kind, "--priority", priority)
        const id = yield* schedule("charge-card", "--priority", "low")
        for (const kind of kinds) yield* attempt(kind, { _tag: "Succeed", result: { invoice: "INV-000042" } })
        yield* assertShown("wait 019ab1d6-9c00-7a1b-8c2d-0123456789ab --timeout 5m", ["wait", id, "--timeout", "5m"])
        yield* assertShown("drift", ["drift"])

        const recurrences = yield* Recurrences
        const Tick = Task.define("take-stock", { payload: {} })
        for (const name of ["hourly", "daily"])
          yield* recurrences.create(Tick, name, { every: name === "daily" ? "1 day" : "1 hour", payload: {} })
        yield* (yield* RecurrenceStore).settle(10)
        yield* assertShown("recur audit", ["recur", "audit"])

        for (const inMs of [dayMs, 2 * dayMs]) yield* schedule("close-day", "--in", `${inMs / dayMs}d`)
        yield* sql`ANALYZE duetime.event`
        yield* assertShown("partitions list --table event", ["partitions", "list", "--table", "event"])

        const failing = Array.from({ length: 101 }, () => schedule("charge-card"))
        yield* Effect.all(failing)
        const error = { name: "Declined", message: "no" }
        yield* attempt("charge-card", { _tag: "Fail", error, retryable: false, retryInMs: null })
        yield* schedule("of-nobody")
        yield* sql`DROP INDEX duetime.dead_letter_unannounced`
        yield* assertShown("doctor", ["doctor"])

        const waiting = yield* schedule("close-day", "--in", "1h")
        yield* sql`DELETE FROM duetime.due WHERE task_id = ${waiting}::uuid`
        yield* assertShown("audit", ["audit"])
      }),
    120_000
  )
})

/** `transcripts.test.ts` runs the first two, `test/cli/dev.test.ts` the third. */
const runElsewhere = ["task 019ab1d6-9c00-7a1b-8c2d-0123456789ab", "import tasks.jsonl --dry-run", "dev"]
const runHere = [
  "wait 019ab1d6-9c00-7a1b-8c2d-0123456789ab --timeout 5m",
  "drift",
  "recur audit",
  "partitions list --table event",
  "doctor",
  "audit"
]

describe("the transcripts on the page of the CLI", () => {
  it("are all tried", () => {
    const commands = [...reference.matchAll(/^\$ duetime (.*)$/gm)].map(([, command]) => command)
    assert.sameMembers(commands, [...runElsewhere, ...runHere])
  })
})

describe("the shape of a transcript", () => {
  const ran = "KIND  ATTEMPTS  P50\na            12  3 ms\nb             4  9 s\n\n2 kinds\n"
  it("is the same with other ids, numbers and columns", () => {
    assert.isNull(missingLine("KIND ATTEMPTS P50\na 1,300  25 ms\nb  7  1.5 s\n\n99 kinds", ran))
  })
  it("may leave lines out", () => assert.isNull(missingLine("KIND ATTEMPTS P50\n...\n2 kinds", ran)))
  it("differs by a word, a line too much, and one too few", () => {
    assert.include(missingLine("KIND TRIES P50\n...", ran), "KIND TRIES P50")
    assert.include(missingLine("KIND ATTEMPTS P50\nc 1 3 ms\n...", ran), "c <n> <span>")
    assert.include(missingLine("KIND ATTEMPTS P50", ran), "an end")
  })
})
