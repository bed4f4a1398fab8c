/** One thread of a run: every n-th of its histories, one after the other, until one fails or the run is stopped. */
import { parentPort, workerData } from "node:worker_threads"
import { mutants } from "../mutants/mutants.ts"
import { unbroken } from "./Breakage.ts"
import { type FromRunThread, ranCell, type RunThreadData, seedAt, stopCell } from "./run.ts"
import { simulateOne } from "./simulate.ts"
import { Tally } from "./Tally.ts"

const { cells: shared, index, run }: RunThreadData = workerData
const cells = new Int32Array(shared)
const breakage = mutants.find(({ name }) => name === run.mutant)?.breakage ?? unbroken
const tally = new Tally()
// A history fails in a hundred places on purpose, and nobody reads where. One that breaks something is run again with its stacks.
if (run.runsCount > 1) Error.stackTraceLimit = 0
let found: FromRunThread["found"] = null
for (let nth = index; nth < run.kept.length + run.runsCount && found === null; nth += run.threadsCount) {
  if (Atomics.load(cells, stopCell) === 1) break
  const seed = seedAt(run, nth)
  const failure = simulateOne(seed, { tally, path: run.path, breakage, isTwice: run.isTwice })
  if (failure !== null) found = { nth, seed, broken: failure.broken }
  Atomics.add(cells, ranCell, 1)
}
if (found !== null) Atomics.store(cells, stopCell, 1)
parentPort?.postMessage({ counts: tally, found } satisfies FromRunThread)
