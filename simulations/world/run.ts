/**
 * A run on several threads. Each takes every n-th history: neighbours cost alike, so all end at the same time, and a number has the
 * same history on whatever thread. They share two cells of memory, and say what they have counted when they end.
 */
import { Clock, Data, Effect } from "effect"
import { Worker } from "node:worker_threads"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import { type Counts, Tally } from "./Tally.ts"

export type Run = {
  /** Of histories that have failed before: they come first. */
  readonly kept: ReadonlyArray<number>
  readonly seedFirst: number
  readonly runsCount: number
  readonly threadsCount: number
  readonly path: string | undefined
  readonly isTwice: boolean
  readonly mutant: string | undefined
}

export type RunThreadData = { readonly run: Run; readonly index: number; readonly cells: SharedArrayBuffer }

/** What a thread has to say when it ends. */
export type FromRunThread = {
  readonly counts: Counts
  readonly found: { readonly nth: number; readonly seed: number; readonly broken: ReadonlyArray<Broken> } | null
}

/** 1: every thread ends after the history that it runs. */
export const stopCell = 0
/** Histories run by all threads. */
export const ranCell = 1

export const seedAt = ({ kept, seedFirst }: Run, nth: number): number => kept[nth] ?? seedFirst + nth - kept.length

export class RunThreadFailed extends Data.TaggedError("RunThreadFailed")<{ readonly message: string }> {}

export type Ran = {
  readonly tally: Tally
  /** The first history of those that broke a sentence. */
  readonly found: FromRunThread["found"]
  readonly isInterrupted: boolean
  readonly seconds: number
  /** Of all threads. */
  readonly cpuSeconds: number
}

/**
 * @param progressed told every two seconds how many histories were run
 */
export const runAll = Effect.fnUntraced(function* (
  run: Run,
  progressed: (historiesCount: number, seconds: number) => void
): Effect.fn.Return<Ran, RunThreadFailed> {
  const clock = yield* Clock.Clock
  const beganAtMs = clock.currentTimeMillisUnsafe()
  const secondsSoFar = () => Math.max(0.001, (clock.currentTimeMillisUnsafe() - beganAtMs) / 1_000)
  const cpuBefore = process.cpuUsage()
  const shared = new SharedArrayBuffer(8)
  const cells = new Int32Array(shared)
  const stop = () => void Atomics.store(cells, stopCell, 1)
  let isInterrupted = false
  const interrupt = () => {
    isInterrupted = true
    stop()
  }
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt)
  const progress = Effect.sync(() => {
    const count = Atomics.load(cells, ranCell)
    if (count > 0) progressed(count, secondsSoFar())
  }).pipe(Effect.delay(tellEveryMs), Effect.forever)
  const threads = Effect.forEach(
    Array.from({ length: run.threadsCount }, (_, index): RunThreadData => ({ run, index, cells: shared })),
    (data) => ended(data, stop),
    { concurrency: "unbounded" }
  )
  const answers = yield* Effect.raceFirst(threads, progress).pipe(
    Effect.ensuring(Effect.sync(() => process.off("SIGINT", interrupt).off("SIGTERM", interrupt)))
  )
  const tally = new Tally()
  for (const { counts } of answers) tally.merge(counts)
  const [found = null] = answers.flatMap((answer) => answer.found ?? []).toSorted((one, other) => one.nth - other.nth)
  const cpu = process.cpuUsage(cpuBefore)
  return { tally, found, isInterrupted, seconds: secondsSoFar(), cpuSeconds: (cpu.user + cpu.system) / 1e6 }
})

/** What a thread says in the end; one that cannot go on stops the others. */
const ended = (data: RunThreadData, stop: () => void): Effect.Effect<FromRunThread, RunThreadFailed> =>
  Effect.callback<FromRunThread, RunThreadFailed>((resume) => {
    const worker = new Worker(new URL("./runThread.ts", import.meta.url), {
      workerData: data,
      name: "simulate",
      resourceLimits: { maxYoungGenerationSizeMb: youngMibMax }
    })
    worker.once("message", (answer: FromRunThread) => resume(Effect.succeed(answer)))
    worker.once("error", (error) => {
      stop()
      resume(Effect.fail(new RunThreadFailed({ message: error.stack ?? String(error) })))
    })
    return Effect.promise(() => worker.terminate())
  })

const tellEveryMs = 2_000
/** Most of what a history makes is gone when it ends: 16 MiB, the default, is collected twice in each. */
const youngMibMax = 64
