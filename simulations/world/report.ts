/** What a run of simulated histories says to people. */
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import { epochMs } from "../../src/testing/simulation/Kernel.ts"
import { windows } from "./windows.ts"
import type { Ran } from "./run.ts"
import type { Failure } from "./simulate.ts"
import type { Tally } from "./Tally.ts"

export const commandOf = ({ path, seed }: Failure, mutant?: string): string =>
  `npm run simulate -- --runs 1 --seed ${seed}${path === "" ? "" : ` --path ${path}`}${mutant === undefined ? "" : ` --mutant ${mutant}`}`

/** Seed, what broke, the faults that are left, what happened to each task concerned, and how to see it again. */
export const failureText = (failure: Failure, mutant?: string): string => {
  const { broken, history, outcome, seed } = failure
  const concerned = [...new Set(broken.flatMap(({ taskId }) => taskId ?? []))].slice(0, timelinesMax)
  return [
    `Seed ${seed} breaks ${broken.length} sentences (trace ${outcome.traceHash}):`,
    ...broken.slice(0, brokenMax).map(brokenText),
    `Faults left of it (${history.faults.length}), with ${history.clocks.length} nodes and ${history.tasks.length} tasks:`,
    ...history.faults.map((fault) => `  ${JSON.stringify(fault)}`),
    ...concerned.flatMap((taskId) => [`Task ${taskId}:`, ...timelineOf(failure, taskId)]),
    `Again: ${commandOf(failure, mutant)}`,
    ""
  ].join("\n")
}

/** With the instant at which it was seen, if it was not found in the end. */
export const brokenText = ({ atMs, id, message, taskId }: Broken): string =>
  `  ${id} ${atMs === undefined ? "in the end" : `at ${atMs.toFixed(1)} ms`} ${taskId ?? ""} ${message}`

/** What happened to one task, as it stands in its stream and was seen outside. */
export const timelineOf = (
  { broken, outcome }: Pick<Failure, "broken" | "outcome">,
  taskId: string
): ReadonlyArray<string> => {
  const events = outcome.streams.find((stream) => stream.taskId === taskId)?.events ?? []
  const lines: Array<{ readonly atMs: number; readonly text: string }> = [
    ...events.map((event) => ({
      atMs: event.atMs - epochMs,
      text: `${event.version} ${event._tag}${detailOf(event)}`
    })),
    ...outcome.ledger
      .filter((call) => call.taskId === taskId)
      .map(({ atMs, attempt, fence, node }) => ({ atMs, text: `  ${node} calls attempt ${attempt}, fence ${fence}` })),
    ...broken.flatMap((seen) =>
      seen.taskId === taskId && seen.atMs !== undefined
        ? [{ atMs: seen.atMs, text: `  ^ breaks ${seen.id}: ${seen.message}` }]
        : []
    )
  ]
  return lines
    .toSorted((one, other) => one.atMs - other.atMs)
    .map(({ atMs, text }) => `  ${atMs.toFixed(1).padStart(9)} ms  ${text}`)
}

const detailOf = (event: TaskEvent): string => {
  const attempt = "attempt" in event ? ` attempt ${event.attempt}` : ""
  return `${attempt}${"sessionId" in event ? ` session ${event.sessionId}` : ""}${"reason" in event ? ` ${event.reason ?? ""}` : ""}`
}

export const tallyText = ({ cpuSeconds, seconds, tally }: Ran): string => {
  const { distinctCount, historiesCount, lostAcksCount, simulatedMs, stepsCount, succeededCount, tasksCount } = tally
  const list = (counts: ReadonlyMap<string, number>) =>
    [...counts]
      .toSorted(([one], [other]) => (one < other ? -1 : 1))
      .map(([name, count]) => `${name} ${count}`)
      .join(", ")
  return [
    `${historiesCount} histories (${distinctCount} distinct), ${(historiesCount / seconds).toFixed(1)} a second, ${(historiesCount / cpuSeconds).toFixed(1)} a CPU second`,
    `${(simulatedMs / 3_600_000).toFixed(2)} simulated hours, ${stepsCount} steps, ${succeededCount} of ${tasksCount} tasks succeeded`,
    `${lostAcksCount} acknowledged tasks were lost with the last commits before a failover or a restore`,
    `faults that struck: ${list(tally.fired)}`,
    `events: ${list(tally.events)}`,
    "histories that were in each window of the protocol:",
    ...windowsMet(tally).map(
      ({ historiesCount: count, isSeldom, number, what }) =>
        `  ${String(number).padStart(2)} ${what}: ${count}${isSeldom ? " (too seldom)" : ""}`
    ),
    ""
  ].join("\n")
}

/** In how many histories each window was met, and whether that is less than a run of that many has to show. */
const windowsMet = (tally: Tally) => {
  const seldom = new Set(tally.seldomWindows())
  return windows.map((window) => {
    const [number, what] = window
    return { number, what, historiesCount: tally.windows.get(number) ?? 0, isSeldom: seldom.has(window) }
  })
}

/** The same for programs. */
export const figuresOf = ({ cpuSeconds, seconds, tally }: Ran, failure: Failure | null, mutant?: string) => {
  const { distinctCount, historiesCount, lostAcksCount, simulatedMs, stepsCount, succeededCount, tasksCount } = tally
  return {
    historiesCount,
    distinctCount,
    historiesPerSecond: historiesCount / seconds,
    seconds,
    historiesPerCpuSecond: historiesCount / cpuSeconds,
    cpuSeconds,
    simulatedMs,
    stepsCount,
    tasksCount,
    succeededCount,
    lostAcksCount,
    windows: windowsMet(tally),
    fired: Object.fromEntries(tally.fired),
    events: Object.fromEntries(tally.events),
    violations:
      failure === null
        ? []
        : [
            {
              seed: failure.seed,
              path: failure.path,
              command: commandOf(failure, mutant),
              traceHash: failure.outcome.traceHash,
              broken: failure.broken,
              history: failure.history
            }
          ]
  }
}

const brokenMax = 20
const timelinesMax = 3
