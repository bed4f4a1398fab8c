/**
 * One-second recurrences while the processes that decide and run them are killed at random: every nominal instant must have exactly one
 * fate in the ledger, and everything that fired must have run, once. Real PostgreSQL, real processes, SIGKILL.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Layer, Redacted, Result } from "effect"
import * as path from "node:path"
import { auditLedger } from "../../src/core/recurrence/auditLedger.ts"
import { compiledOf } from "../../src/core/recurrence/compiled.ts"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import type { TaskId } from "../../src/core/TaskId.ts"
import { EmbeddedPostgres } from "../../src/embedded/EmbeddedPostgres.ts"
import { Duetime, Recurrences } from "../../src/index.ts"
import { layerPostgres } from "../../src/layers.ts"
import { type LedgerLine, recurrencePageMax, RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import { between, draw } from "../chaos/draw.ts"
import { Member } from "../chaos/Member.ts"
import type { Tell } from "../command.ts"
import { type Followed, reportOf } from "./report.ts"
import { recurrenceNames } from "./tasks.ts"

export type RecurrenceKillsOptions = {
  readonly engines: number
  readonly seconds: number
  readonly seed: number
  readonly directory: string
  readonly tell: Tell
}

/** Short, so that what a killed process held goes on within the run. */
const leaseMs = 3_000
/** Between two kills; a process takes one to two seconds to start, so that now and then nobody is there. */
const killAfterMsMin = 500
const killAfterMsMax = 3_000
const downMsMax = 2_000
const startMsMax = 60_000
/** After the last instant: leases, a quiet lease, the retries. */
const drainMsMax = 90_000
const lookMs = 200
const connectionsEach = 10

const run = Effect.fnUntraced(function* ({ directory, engines, seconds, seed, tell }: RecurrenceKillsOptions) {
  const clock = yield* Clock.Clock
  const { url } = yield* EmbeddedPostgres
  const recurrences = yield* Recurrences
  const members = Array.from(
    { length: engines },
    (_, index) =>
      new Member(
        {
          name: `engine ${index + 1}`,
          role: "run",
          args: ["--tasks", path.join(import.meta.dirname, "tasks.ts")],
          env: {
            DUETIME_DATABASE_URL: url,
            DUETIME_DATABASE_CONNECTIONS: String(connectionsEach),
            DUETIME_LEASE: `${leaseMs} millis`,
            // What is started again starts a third sooner.
            NODE_COMPILE_CACHE: path.join(directory, "compile-cache")
          },
          log: path.join(directory, "members.log")
        },
        clock
      )
  )
  yield* Effect.addFinalizer(() => Effect.forEach(members, ({ stop }) => stop, { concurrency: "unbounded" }))
  yield* Effect.forEach(members, ({ start }) => start, { discard: true })
  tell(`${engines} engines start`)
  const areDeclared = Effect.map(recurrences.list(), (all) => all.length === recurrenceNames.length)
  if (!(yield* becomes(areDeclared, startMsMax)))
    return yield* Effect.fail(new Error(`no engine has declared its recurrences within ${startMsMax} ms`))

  const fromMs = clock.currentTimeMillisUnsafe()
  const untilMs = fromMs + seconds * 1_000
  let kills = 0
  for (let turn = 0; clock.currentTimeMillisUnsafe() < untilMs; turn++) {
    yield* Effect.sleep(between(draw(seed, turn, "after"), killAfterMsMin, killAfterMsMax))
    const member = members[Math.floor(draw(seed, turn, "who") * engines)]
    const downMs = between(draw(seed, turn, "down"), 0, downMsMax)
    // Down already, and to be started when its time is over.
    if (member === undefined || (yield* member.kill) === null) continue
    kills++
    tell(`${member.name} is killed, for ${Math.round(downMs)} ms`)
    yield* Effect.forkScoped(Effect.delay(member.start, downMs))
  }
  // The last of them may be down.
  yield* Effect.sleep(downMsMax)

  yield* Effect.forEach(recurrenceNames, (name) => recurrences.pause(name), { discard: true })
  tell("waiting until everything that fired is over")
  const followed: Array<Followed> = []
  for (const name of recurrenceNames) followed.push(yield* follow(name))
  const unasked = members.flatMap(({ unasked }) => unasked)
  return reportOf({ seed, engines, seconds, kills, fromMs, untilMs, followed, unasked })
}, Effect.scoped)

const follow = Effect.fnUntraced(function* (name: string) {
  const duetime = yield* Duetime
  const store = yield* RecurrenceStore
  const { createdAtMs, recurrenceId, settledUntilMs } = yield* store.find(name)
  const revisions = (yield* store.revisions(recurrenceId)).map(({ rule, ...revision }) => ({
    ...revision,
    next: Result.getOrThrow(compiledOf(rule)).next
  }))
  const lines = yield* wholeLedger(recurrenceId)
  const fired = lines.flatMap(({ fate, taskId }) => (fate === "fired" && taskId !== null ? [taskId] : []))
  const stagesOf = Effect.forEach(fired, (id) => Effect.map(duetime.get(id), ({ stage }) => stage))
  const isOver = yield* becomes(
    Effect.map(stagesOf, (stages) => stages.every((stage) => stage === "succeeded")),
    drainMsMax
  )
  const histories = new Map<TaskId, ReadonlyArray<TaskEvent>>()
  for (const id of fired) histories.set(id, yield* duetime.history(id))
  const violations = auditLedger(revisions, lines, createdAtMs, settledUntilMs)
  return { name, createdAtMs, lines, violations, histories, isOver }
})

const wholeLedger = Effect.fnUntraced(function* (recurrenceId: number) {
  const store = yield* RecurrenceStore
  const lines: Array<LedgerLine> = []
  while (true) {
    const page = yield* store.ledger(recurrenceId, lines.at(-1)?.nominalAtMs ?? 0, recurrencePageMax)
    lines.push(...page)
    if (page.length < recurrencePageMax) return lines
  }
})

/** Whether it becomes so within the time. */
const becomes = <E, R>(holds: Effect.Effect<boolean, E, R>, withinMs: number) =>
  Effect.gen(function* () {
    while (!(yield* holds)) yield* Effect.sleep(lookMs)
  }).pipe(
    Effect.timeoutOption(withinMs),
    Effect.map(({ _tag }) => _tag === "Some")
  )

export const recurrenceKills = (options: RecurrenceKillsOptions) => {
  const postgres = EmbeddedPostgres.layer({ dataDirectory: path.join(options.directory, "postgres") })
  const client = Layer.unwrap(
    Effect.map(EmbeddedPostgres, ({ url }) =>
      PgClient.layer({ url: Redacted.make(url), maxConnections: 4, applicationName: "recurrence kills" })
    )
  )
  options.tell("PostgreSQL starts")
  return Effect.provide(
    run(options),
    layerPostgres({ migrate: true }).pipe(Layer.provideMerge(client), Layer.provideMerge(postgres))
  )
}
