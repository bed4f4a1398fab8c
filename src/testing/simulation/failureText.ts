/** What a failing history says to people: what broke, the faults that are left, what happened to each task concerned, and how again. */
import type { TaskEvent } from "../../core/TaskEvent.ts"
import { faultText } from "./faultDraws.ts"
import type { Violation } from "./judge.ts"
import { epochMs } from "./Kernel.ts"
import type { PlannedHistory, Ran } from "./runPlanned.ts"

const violationsMax = 10
const timelinesMax = 3
const payloadLengthMax = 200

export const failureText = (parts: {
  readonly whole: PlannedHistory
  readonly shrunk: PlannedHistory
  readonly ran: Ran
  readonly violations: ReadonlyArray<Violation>
  readonly nodes: number
}): string => {
  const { nodes, ran, shrunk, violations, whole } = parts
  const concerned = [...new Set(violations.flatMap(({ taskId }) => taskId ?? []))].slice(0, timelinesMax)
  return [
    `seed ${whole.seed} breaks:`,
    ...violations.slice(0, violationsMax).flatMap(({ invariant, message, taskId }) => {
      return [`  ${invariant}:`, `    ${taskId === null ? "" : `${taskId} `}${message}`]
    }),
    `${shrunk.faults.length} of ${whole.faults.length} faults and ${shrunk.tasks.length} of ${whole.tasks.length} tasks are left of it, on ${nodes} nodes:`,
    ...shrunk.faults.map(({ of }) => `  ${faultText(of)}`),
    ...concerned.flatMap((taskId) => timelineOf(ran, taskId)),
    "Again, as it is here, and the whole of it:",
    `  ${againText(shrunk)}`,
    `  simulate({ ..., seed: ${whole.seed}, runs: 1 })`
  ].join("\n")
}

export const againText = ({ faults, seed, tasks }: PlannedHistory): string => {
  const list = (all: ReadonlyArray<{ readonly index: number }>) => `[${all.map(({ index }) => index).join(", ")}]`
  return `simulate({ ..., seed: ${seed}, runs: 1, only: { tasks: ${list(tasks)}, faults: ${list(faults)} } })`
}

const timelineOf = ({ outcome }: Ran, taskId: string): ReadonlyArray<string> => {
  const task = outcome.tasks.find(({ id }) => id === taskId)
  if (task === undefined) return []
  const lines = [
    ...task.events.map((event) => ({ atMs: event.atMs - epochMs, text: eventText(event) })),
    ...outcome.calls
      .filter((call) => call.taskId === taskId)
      .map(({ atMs, attempt, node, what }) => ({ atMs, text: `  ${node} calls the ${what}, attempt ${attempt}` })),
    ...outcome.kept.deeds
      .filter((deed) => deed.taskId === taskId)
      .map(({ atMs, attempt, node, text }) => ({ atMs, text: `    ${node} attempt ${attempt} ${text}` }))
  ]
  return [
    `Task ${taskId}, ${task.kind} ${JSON.stringify(task.payload).slice(0, payloadLengthMax)}, ${task.stage}:`,
    ...lines
      .toSorted((one, other) => one.atMs - other.atMs)
      .map(({ atMs, text }) => `  ${atMs.toFixed(1).padStart(9)} ms  ${text}`)
  ]
}

const eventText = (event: TaskEvent): string => {
  const attempt = "attempt" in event ? `, attempt ${event.attempt}` : ""
  const reason = "reason" in event && event.reason !== null ? `, ${event.reason}` : ""
  const error = "error" in event && event.error !== null ? `, ${event.error.message.slice(0, payloadLengthMax)}` : ""
  return `${event._tag}${attempt}${reason}${error}`
}
