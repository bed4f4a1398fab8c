/** One interleaving: a way to a state, several operations at the same time, and a look at what has become of it all. */
import type { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import type * as fc from "fast-check"
import { differenceOf } from "./difference.ts"
import type { Gate } from "./Gate.ts"
import { interleave } from "./interleave.ts"
import type { Interleaving } from "./Interleaving.ts"
import { type Done, worldsOf } from "./linearise.ts"
import { isOpen } from "./openAnswers.ts"
import { noLimit, type Operation } from "./Operation.ts"
import { leftOut } from "./pieces.ts"
import { kindNames } from "./rules.ts"
import { compareSequence } from "./sequence.ts"
import type { SpecDatabase } from "./SpecDatabase.ts"
import type { Run, Subject } from "./Subject.ts"

/** The real one, by way of gates, and a connection that goes past them. */
export type Gated = {
  readonly subject: Subject
  readonly gates: ReadonlyArray<Gate>
  readonly observer: PgClient.PgClient
}

export type InterleavingResult = {
  readonly before: ReadonlyArray<Operation>
  readonly done: ReadonlyArray<Done>
  readonly trace: ReadonlyArray<string>
  readonly blockedCount: number
  /** Null: it could have been one after the other. */
  readonly problem: string | null
}

/** Null: fewer than two operations meant anything in that state. */
export const runInterleaving = Effect.fnUntraced(function* (
  { gates, observer, subject }: Gated,
  { atOnce, before }: Interleaving,
  scheduler: fc.Scheduler,
  nowMs: number
): Effect.fn.Return<InterleavingResult | null, Error> {
  const { difference, operations: prefix, resolver, runs, spec } = yield* compareSequence(before, [subject], nowMs)
  const result = (problem: string | null, parts: Partial<InterleavingResult> = {}): InterleavingResult => ({
    before: prefix,
    done: [],
    trace: [],
    blockedCount: 0,
    ...parts,
    problem
  })
  if (difference !== null) return result(`before it: ${difference.where}, ${difference.what}`)
  const operations = atOnce.flatMap((draw) => resolver.resolve(draw) ?? [])
  const [run] = runs
  if (run === undefined || operations.length < 2) return null
  const { blockedCount, done, trace } = yield* interleave({ run, gates, operations, scheduler, observer })
  const look = yield* run.look
  const worlds = worldsOf(spec, done, look)
  const parts = { done, trace, blockedCount }
  if (worlds.length === 0)
    return result(`in no order does the spec give these answers and this: ${textOf(look)}`, parts)
  for (const [index, { answer }] of done.entries()) {
    const name = leftOut(spec, operations, index, answer)
    if (name !== null)
      return result(`${operations[index]?.tag} has left out ${name}, which nobody else asked for`, parts)
  }
  return result(yield* afterwards(run, worlds), parts)
})

const all = { session: 0, priorities: null, lookAheadMs: 0, limit: noLimit, concurrencyMax: null }

/** What does not show in history and rows shows in what comes of it: leases and expiries, asks, announcements. */
const after: ReadonlyArray<Operation> = [
  { tag: "Tick", ms: 20_000 },
  { tag: "Expire" },
  { tag: "ExpireTasks" },
  { tag: "TakeParked", kinds: kindNames, limit: noLimit },
  { tag: "RelayDead", isHeard: true },
  { tag: "Claim", kinds: kindNames, ...all }
]

const afterwards = Effect.fnUntraced(function* (run: Run, all: ReadonlyArray<SpecDatabase>) {
  let worlds = all
  for (const operation of after) {
    if (worlds.some((world) => isOpen(world, operation))) continue
    const answer = yield* run.perform(operation)
    const look = yield* run.look
    const told = worlds.map((world) => ({
      world,
      what: differenceOf(world.apply(operation), answer()) ?? differenceOf(world.look(), look)
    }))
    worlds = told.flatMap(({ what, world }) => (what === null ? [world] : []))
    if (worlds.length === 0) return `afterwards, ${operation.tag}: ${told.map(({ what }) => what).join("; or ")}`
  }
  return null
})

const textMax = 2_000
const textOf = (value: unknown): string => JSON.stringify(value).slice(0, textMax)
