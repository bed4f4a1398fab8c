/** One sequence, step by step on the spec and on every subject: answers, events and rows must be what the spec says. */
import { Effect } from "effect"
import { differenceOf } from "./difference.ts"
import type { Draw } from "./Draw.ts"
import type { Operation } from "./Operation.ts"
import { Resolver } from "./resolve.ts"
import { leasesMs } from "./rules.ts"
import { SpecDatabase } from "./SpecDatabase.ts"
import { Run, type Subject } from "./Subject.ts"

export type Difference = {
  readonly subject: string
  /** Of the operations. */
  readonly step: number
  readonly operation: Operation
  readonly where: "answer" | "history and rows"
  readonly what: string
}

export type Compared = {
  readonly operations: ReadonlyArray<Operation>
  readonly difference: Difference | null
  /** By tag: how often it was appended, and how it was answered. */
  readonly facts: ReadonlyMap<string, number>
  readonly spec: SpecDatabase
  readonly resolver: Resolver
  readonly runs: ReadonlyArray<Run>
}

/** A fraction, so that what is rounded shows; noon, so that no sequence meets a midnight. */
export const noonAfter = (nowMs: number): number => Math.floor(nowMs / dayMs) * dayMs + dayMs / 2 + 0.25
const dayMs = 86_400_000

export const compareSequence = Effect.fnUntraced(function* (
  draws: ReadonlyArray<Draw>,
  subjects: ReadonlyArray<Subject>,
  nowMs: number,
  specOf: (nowMs: number) => SpecDatabase = (atMs) => new SpecDatabase(atMs)
) {
  const spec = specOf(nowMs)
  const resolver = new Resolver(spec)
  const operations: Array<Operation> = []
  const runs: Array<Run> = []
  for (const subject of subjects) runs.push(yield* Run.begin(subject, nowMs, leasesMs))
  const found: Array<Difference> = []
  const note = (run: Run, operation: Operation, where: Difference["where"], what: string | null) => {
    if (what !== null) found.push({ subject: run.name, step: operations.length, operation, where, what })
  }
  for (const draw of draws) {
    const operation = resolver.resolve(draw)
    if (operation === null) continue
    operations.push(operation)
    const expected = spec.apply(operation)
    for (const run of runs) {
      const answer = yield* run.perform(operation)
      const look = movesNothing.has(operation.tag) ? null : yield* run.look
      note(run, operation, "answer", differenceOf(expected, answer()))
      if (look !== null) note(run, operation, "history and rows", differenceOf(spec.look(), look))
    }
    if (found.length > 0) break
  }
  const last = operations.at(-1)
  if (last !== undefined && found.length === 0)
    for (const run of runs) note(run, last, "history and rows", differenceOf(spec.look(), yield* run.look))
  const facts = new Map<string, number>()
  for (const { facts: stream } of spec.streams.values())
    for (const { tag } of stream) facts.set(tag, (facts.get(tag) ?? 0) + 1)
  const compared: Compared = { operations, difference: found[0] ?? null, facts, spec, resolver, runs }
  return compared
})

/** Looked at with the next operation that may move a task, or at the end: a look is half of what a step costs. */
const movesNothing = new Set<Operation["tag"]>([
  "Tick",
  "Kill",
  "Leave",
  "AnyExpired",
  "ClaimedBy",
  "Ends",
  "Pull",
  "StartedWith"
])
