/**
 * Sequences on the spec, the memory store and PostgreSQL, and interleavings on PostgreSQL. One number is one sequence, or one
 * interleaving. It stops at the first that differs, and shrinks it.
 */
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import * as fc from "fast-check"
import { type Address, postgresSubject } from "./controlledPostgres.ts"
import type { Draw } from "./Draw.ts"
import { Gate } from "./Gate.ts"
import { type Interleaving, interleavings, sessionsMax } from "./Interleaving.ts"
import { memorySubject } from "./memorySubject.ts"
import { type Gated, type InterleavingResult, runInterleaving } from "./runInterleaving.ts"
import { compareSequence, noonAfter } from "./sequence.ts"
import { sequences } from "./sequences.ts"
import { SpecDatabase } from "./SpecDatabase.ts"
import type { Subject } from "./Subject.ts"
import { Tally } from "./Tally.ts"

/** Of sequences or of interleavings. */
export type Part = "sequences" | "interleavings"

export type Failure = {
  readonly part: Part
  readonly seed: number
  /** Of fast-check: leads from the seed's to the shrunk one. */
  readonly path: string
  readonly what: string
  /** What was done, in order; at last, of an interleaving, what was done at the same time. */
  readonly steps: ReadonlyArray<string>
}

export type DifferentialOptions = {
  readonly sequences: number
  readonly interleavings: number
  readonly seed: number
  /** The shrunk one of a failure; of one sequence or one interleaving. */
  readonly path?: string | undefined
  /** A database for each sequence that runs at the same time; the first is also the interleavings'. */
  readonly addresses: ReadonlyArray<Address>
  /** Whether to go on with the next one. */
  readonly goesOn: () => boolean
  readonly tell: (what: string) => void
  /** For the test of the test: a spec that says something else, a store that does. */
  readonly specOf?: (nowMs: number) => SpecDatabase
  readonly broken?: (subject: Subject) => Subject
}

/** Of a failing one: so long is a smaller one looked for. */
const shrinkMsMax = 60_000
/** Between two lines of progress. */
const tellEveryMs = 3_000

export const differential = Effect.fnUntraced(function* (options: DifferentialOptions) {
  const tally = new Tally()
  const nowMs = noonAfter(yield* Clock.currentTimeMillis)
  const next = queueOf(options)
  const failures = yield* Effect.forEach(
    options.addresses,
    (address) => sequencesIn(address, options, next, tally, nowMs),
    {
      concurrency: "unbounded"
    }
  )
  let failure = failures.find((found) => found !== null) ?? null
  const [address] = options.addresses
  if (failure === null && address !== undefined && options.interleavings > 0)
    failure = yield* interleavingsIn(address, options, tally, nowMs)
  return { tally, failure }
})

/** The next seed, for whoever has time; undefined: enough. */
const queueOf = ({ goesOn, seed, sequences: count }: DifferentialOptions) => {
  let taken = 0
  let isOver = false
  return {
    seed: () => (isOver || taken >= count || !goesOn() ? undefined : seed + taken++),
    end: () => {
      isOver = true
    }
  }
}

const sequencesIn = Effect.fnUntraced(function* (
  address: Address,
  { broken = (subject) => subject, path, sequences: count, specOf = specDefault, tell }: DifferentialOptions,
  next: ReturnType<typeof queueOf>,
  tally: Tally,
  nowMs: number
): Effect.fn.Return<Failure | null, unknown, Scope.Scope> {
  if (count === 0) return null
  const subjects = [yield* memorySubject, yield* postgresSubject(address, [address])].map(broken)
  const compare = (draws: ReadonlyArray<Draw>) => compareSequence(draws, subjects, nowMs, specOf)
  for (let seed = next.seed(); seed !== undefined; seed = next.seed()) {
    const draws = sampled(sequences, seed, path)
    const compared = yield* compare(draws)
    tally.addSequence(compared)
    if (tally.isToTell(tellEveryMs)) tell(tally.sequencesText(count))
    if (compared.difference === null) continue
    next.end()
    tell(`seed ${seed} differs and is shrunk`)
    const shrunk = yield* shrink(sequences, seed, path, (smaller) =>
      Effect.map(compare(smaller), ({ difference }) => difference !== null)
    )
    const { difference, operations } = yield* compare(shrunk.value ?? draws)
    const last = difference ?? compared.difference
    const what = `${last.subject}, after ${last.operation.tag}, ${last.where}: ${last.what}`
    return {
      part: "sequences",
      seed,
      path: shrunk.path,
      what,
      steps: operations.map((operation) => JSON.stringify(operation))
    }
  }
  return null
}, Effect.scoped)

const interleavingsIn = Effect.fnUntraced(function* (
  address: Address,
  options: DifferentialOptions,
  tally: Tally,
  nowMs: number
): Effect.fn.Return<Failure | null, unknown, Scope.Scope> {
  const { goesOn, interleavings: count, path, seed: firstSeed, tell } = options
  const gated = yield* gatedOn(address, options.broken)
  const arbitrary = fc.tuple(interleavings, fc.scheduler())
  // Each behind the end of the one before: what a store remembers of the time that it has looked through, it does not see come again.
  let runsCount = 0
  const run = ([interleaving, scheduler]: readonly [Interleaving, fc.Scheduler]) =>
    runInterleaving(gated, interleaving, scheduler, nowMs + runsCount++ * apartMs)
  // Of some seeds nothing comes that could be done at the same time; others take their place.
  const seedsMax = path === undefined ? count * 3 : 1
  for (let index = 0; index < seedsMax && tally.interleavingsCount < count && goesOn(); index++) {
    const seed = firstSeed + index
    const result = yield* run(sampled(arbitrary, seed, path))
    if (result !== null) tally.addInterleaving(result)
    if (tally.isToTell(tellEveryMs)) tell(tally.interleavingsText(count))
    if (result === null || result.problem === null) continue
    tell(`seed ${seed} is not linearizable and is shrunk`)
    const shrunk = yield* shrink(arbitrary, seed, path, (smaller) =>
      Effect.map(run(smaller), (found) => found !== null && found.problem !== null)
    )
    const again = shrunk.path === (path ?? "") ? result : yield* run(sampled(arbitrary, seed, shrunk.path))
    const last = again?.problem === null || again === null ? result : again
    return { part: "interleavings", seed, path: shrunk.path, what: last.problem ?? "", steps: stepsOf(last) }
  }
  return null
}, Effect.scoped)

/** Longer than an interleaving takes by the controlled clock, with what is asked afterwards. */
const apartMs = 60_000

const stepsOf = ({ before, done, trace }: InterleavingResult): ReadonlyArray<string> => [
  ...before.map((operation) => JSON.stringify(operation)),
  ...done.map(({ answer, operation }) => `at once: ${JSON.stringify(operation)} ⇒ ${JSON.stringify(answer)}`),
  ...trace.map((line) => `released: ${line}`)
]

const gatedOn = Effect.fnUntraced(function* (
  address: Address,
  broken: (subject: Subject) => Subject = (subject) => subject
): Effect.fn.Return<Gated, unknown, Scope.Scope> {
  const socketFile = `${address.host}/.s.PGSQL.${address.port}`
  const gates = yield* Effect.forEach(Array.from({ length: sessionsMax }), () => Gate.open(socketFile))
  const throughs = gates.map(({ port }) => ({ ...address, host: "127.0.0.1", port }))
  const subject = broken(yield* postgresSubject(address, throughs))
  const observer = yield* PgClient.make({ ...address, maxConnections: 1, applicationName: "observer" }).pipe(
    Effect.provide(Reactivity.layer)
  )
  return { subject, gates, observer }
})

const specDefault = (nowMs: number) => new SpecDatabase(nowMs)

const sampled = <A>(arbitrary: fc.Arbitrary<A>, seed: number, path: string | undefined): A => {
  const [value] = fc.sample(arbitrary, { seed, numRuns: 1, ...(path === undefined || path === "" ? {} : { path }) })
  if (value === undefined) throw new Error(`seed ${seed} has nothing at the path ${path}`)
  return value
}

/** The least one found that fails; without it what failed is the least. */
const shrink = <A>(
  arbitrary: fc.Arbitrary<A>,
  seed: number,
  path: string | undefined,
  fails: (value: A) => Effect.Effect<boolean, unknown>
): Effect.Effect<{ readonly value: A | null; readonly path: string }> =>
  Effect.promise(async () => {
    if (path !== undefined) return { value: null, path }
    const property = fc.asyncProperty(arbitrary, async (value) => !(await Effect.runPromise(fails(value))))
    const details = await fc.check(property, { seed, numRuns: 1, interruptAfterTimeLimit: shrinkMsMax })
    return { value: details.counterexample?.[0] ?? null, path: details.counterexamplePath ?? "" }
  })
