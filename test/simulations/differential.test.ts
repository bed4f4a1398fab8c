/**
 * A short run of `npm run simulate:differential`, and proof that it can fail: a spec that says something else, a store that does
 * something else, two sessions that both get what only one may have.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Address } from "../../simulations/spec/controlledPostgres.ts"
import { differential, type DifferentialOptions } from "../../simulations/spec/differential.ts"
import { anything } from "../../simulations/spec/facts.ts"
import { differenceOf } from "../../simulations/spec/difference.ts"
import { worldsOf } from "../../simulations/spec/linearise.ts"
import type { NewOne, Operation } from "../../simulations/spec/Operation.ts"
import { reportOf } from "../../simulations/spec/report.ts"
import { SpecDatabase } from "../../simulations/spec/SpecDatabase.ts"
import type { Subject } from "../../simulations/spec/Subject.ts"
import type { Started, TaskStore } from "../../src/store/TaskStore.ts"
import { databaseOnly, TestDatabase } from "../setup/database.ts"

const timeout = 300_000

const run = (options: Partial<DifferentialOptions>) =>
  Effect.gen(function* () {
    const { database, port, socketDirectory: host, username } = yield* TestDatabase
    const addresses: ReadonlyArray<Address> = [{ host, port, username, database }]
    const asked = { sequences: 0, interleavings: 0, seed: 1, ...options }
    const { failure, tally } = yield* differential({ ...asked, addresses, goesOn: () => true, tell: () => {} })
    return { failure, tally, report: reportOf(asked, tally, failure, false) }
  }).pipe(Effect.provide(databaseOnly()))

/** The same subject with other stores. */
const withStore =
  (change: (store: TaskStore["Service"]) => TaskStore["Service"], of: string) =>
  (subject: Subject): Subject =>
    subject.name === of
      ? {
          ...subject,
          get stores() {
            return subject.stores.map(change)
          }
        }
      : subject

const folder = path.resolve(import.meta.dirname, "../../simulations/spec")

describe("the spec", () => {
  it("shares no code with what it is held against: of src it knows types", () => {
    const own = fs.readdirSync(folder).filter((file) => /^(task|facts|Operation|Spec.*|spec.*)\.ts$/.test(file))
    assert.isAtLeast(own.length, 8)
    const values = own.flatMap((file) =>
      fs
        .readFileSync(path.join(folder, file), "utf8")
        .split("\n")
        .filter((line) => line.includes("/src/") && !line.startsWith("import type ") && !line.startsWith("} from"))
        .map((line) => `${file}: ${line}`)
    )
    assert.deepStrictEqual(values, [])
  })
})

describe("the spec, the memory store and PostgreSQL", () => {
  it.live(
    "agree in 200 sequences",
    () =>
      Effect.gen(function* () {
        const { report } = yield* run({ sequences: 200 })
        assert.deepStrictEqual(report.differences, [])
        assert.deepInclude(report, { ok: true, sequences: 200 })
        assert.isAbove(report.operations, 2_000)
        assert.isAbove(report.events["AttemptStarted"] ?? 0, 50)
      }),
    timeout
  )

  it.live(
    "are found to differ when the spec forgets what a pause is, and the least sequence is shown",
    () =>
      Effect.gen(function* () {
        class Unpaused extends SpecDatabase {
          override isPaused(): boolean {
            return false
          }
        }
        const options = { specOf: (nowMs: number) => new Unpaused(nowMs) }
        const { failure, report } = yield* run({ ...options, sequences: 300 })
        assert.isFalse(report.ok)
        assert.isAtMost(failure?.steps.length ?? Infinity, 4)
        // The shrunk one alone, as its command asks for it.
        const { failure: again } = yield* run({
          ...options,
          sequences: 1,
          seed: failure?.seed ?? 0,
          path: failure?.path
        })
        assert.deepStrictEqual(again, failure)
      }),
    timeout
  )

  it.live(
    "are found to differ when a store keeps the priority of what it reprioritises",
    () =>
      Effect.gen(function* () {
        const broken = withStore(
          (store) => ({
            ...store,
            act: (taskId, eventId, wish) =>
              store.act(taskId, eventId, wish._tag === "Reprioritise" ? { ...wish, priority: "normal" } : wish)
          }),
          "PostgreSQL"
        )
        const { failure } = yield* run({ sequences: 300, broken })
        assert.include(failure?.what, "PostgreSQL, after Act")
        assert.isAtMost(failure?.steps.length ?? Infinity, 3)
      }),
    timeout
  )
})

describe("sessions interleaved on PostgreSQL", () => {
  it.live(
    "do in 30 interleavings what they could have done one after the other",
    () =>
      Effect.gen(function* () {
        const { report } = yield* run({ interleavings: 30 })
        assert.deepStrictEqual(report.differences, [])
        assert.deepInclude(report, { ok: true, interleavings: 30 })
        assert.isAbove(report.requestsReleased, 100)
      }),
    timeout
  )

  it.live(
    "are found to do something else when a start that is lost is given out as won",
    () =>
      Effect.gen(function* () {
        const won = new Map<string, Started>()
        const broken = withStore(
          (store) => ({
            ...store,
            start: (sessionId, batch) =>
              Effect.map(store.start(sessionId, batch), (answers) =>
                answers.map((answer, index) => {
                  const claim = batch[index]?.fence.eventId ?? ""
                  if (answer._tag === "Started") won.set(claim, answer)
                  return answer._tag === "Lost" ? (won.get(claim) ?? answer) : answer
                })
              )
          }),
          "PostgreSQL"
        )
        const { failure } = yield* run({ interleavings: 300, broken })
        assert.strictEqual(failure?.part, "interleavings")
      }),
    timeout
  )
})

const nowMs = 1_800_000_000_000.25

const task: NewOne = {
  name: "t0",
  request: 1,
  id: "01a31a00-0000-7000-8000-000000000000",
  kind: "many",
  priority: "normal",
  dueAtMs: 1_800_000_000_000,
  expiresAtMs: null,
  key: null,
  keyKeptMs: null,
  payload: null
}

const claimedWorld = (): SpecDatabase => {
  const spec = new SpecDatabase(nowMs)
  spec.apply({ tag: "Schedule", tasks: [task] })
  spec.move("t0", { tag: "Claim", session: 0 }, null)
  return spec
}

const startOf = (request: number): Operation => ({
  tag: "Start",
  session: 0,
  items: [{ task: "t0", fence: 2, request, timeoutMs: 1_000, dispatchedAtMs: null }]
})

describe("orders", () => {
  it("are found for a start that was won and one that was lost, and not for two that were won", () => {
    const before = claimedWorld()
    const after = before.clone()
    const won = after.apply(startOf(2))
    const lost = after.apply(startOf(3))
    const done = (request: number, answer: unknown, at: number) => ({
      operation: startOf(request),
      answer,
      begunAt: at,
      answeredAt: at + 10
    })
    assert.lengthOf(worldsOf(before, [done(2, won, 0), done(3, lost, 1)], after.look()), 1)
    assert.lengthOf(worldsOf(before, [done(3, lost, 0), done(2, won, 1)], after.look()), 1)
    assert.lengthOf(worldsOf(before, [done(2, won, 0), done(3, won, 1)], after.look()), 0)
    // Who was answered before the other began cannot have come second.
    assert.lengthOf(worldsOf(before, [done(3, lost, 0), done(2, won, 20)], after.look()), 0)
  })
})

describe("a difference", () => {
  it("is told with its place, and null is as good as absent", () => {
    assert.isNull(differenceOf({ a: [1, { b: null }], c: anything }, { a: [1.0002, {}], c: 7 }))
    assert.strictEqual(differenceOf({ a: [1, 2] }, { a: [1] }), ".a[1]: expected 2, was null")
    assert.strictEqual(differenceOf({ a: 1 }, { a: 1.25 }), ".a: expected 1, was 1.25")
  })
})

const main = path.join(folder, "main.ts")

describe("npm run simulate:differential", () => {
  it("answers with one document and 0 where all holds", { timeout }, () => {
    const flags = ["--json", "--sequences", "3", "--interleavings", "2", "--seed", "5"]
    const { status, stdout } = spawnSync(process.execPath, [main, ...flags], { encoding: "utf8" })
    assert.deepInclude(JSON.parse(stdout), { ok: true, sequences: 3, interleavings: 2, differences: [] })
    assert.strictEqual(status, 0)
  })

  it("says what is wrong with a flag, and how to go on", () => {
    const { status, stderr } = spawnSync(process.execPath, [main, "--path", "0:1"], { encoding: "utf8" })
    assert.include(stderr, "--path is of one: give --sequences 1 --interleavings 0")
    assert.strictEqual(status, 2)
  })
})
