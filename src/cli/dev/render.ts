import type { WaitingKind } from "../../store/Vitals.ts"
import type { TaskView } from "../../TaskView.ts"
import { type Paint, paintStage } from "../render/paint.ts"
import { counted } from "../render/table.ts"
import { oneLine } from "../render/text.ts"
import { span } from "../render/time.ts"
import type { Ended, ServedKind } from "./Message.ts"

/** Characters of a failure's own message. */
const errorLengthMax = 200

/** `12:00:01.003  greet  succeeded  0.4 ms late, took 3 ms  019ab1d6-...`; with a view what it failed with, and when it comes again. */
export const attemptText = (ended: Ended, nowMs: number, view: TaskView | null, paint: Paint): string => {
  const stage = ended.stage === "pending" ? "failed" : ended.stage
  const word = ended.stage === "pending" && view !== null && view.lastError === null ? "snoozed" : stage
  const attempt = ended.attempt > 1 || ended.stage === "pending" ? ` #${ended.attempt}` : ""
  const error = view?.lastError ?? null
  const reason = error === null ? "" : `: ${oneLine(`${error.name}: ${error.message}`, errorLengthMax)}`
  const again =
    view !== null && view.stage === "pending" ? `; again in ${span(Math.max(0, view.dueAt.getTime() - nowMs))}` : ""
  return [
    paint.quiet(timeOfDay(nowMs)),
    ended.kind,
    `${paintStage(paint, word === "failed" ? "dead" : ended.stage, `${word}${attempt}`)}`,
    `${span(Math.max(0, ended.driftMs))} late, took ${span(ended.tookMs)}${reason}${again}`,
    paint.quiet(ended.taskId)
  ].join("  ")
}

export const timeOfDay = (atMs: number): string => new Date(atMs).toISOString().slice(11, 23)

/** What waits in the database, and how late the latest attempts have started. */
export const statusText = (
  kinds: ReadonlyArray<WaitingKind>,
  driftsMs: ReadonlyArray<number>,
  paint: Paint
): string => {
  const sum = (of: (kind: WaitingKind) => number) => kinds.reduce((total, kind) => total + of(kind), 0)
  const sorted = driftsMs.toSorted((left, right) => left - right)
  const at = (share: number) => span(Math.max(0, sorted[Math.floor((sorted.length - 1) * share)] ?? 0))
  const dead = sum(({ deadCount }) => deadCount)
  return [
    counted(kinds.length, "kind"),
    `${sum(({ dueCount }) => dueCount).toLocaleString("en-US")} due`,
    `${sum(({ inProgressCount }) => inProgressCount).toLocaleString("en-US")} in progress`,
    dead === 0 ? "none dead" : paint.bad(`${dead.toLocaleString("en-US")} dead`),
    ...(sorted.length === 0 ? [] : [`drift p50 ${at(0.5)}, p99 ${at(0.99)} of the last ${sorted.length}`]),
    "ctrl-c ends"
  ].join(paint.quiet(" | "))
}

/** What to do next, ready to be pasted. */
export const nextCommands = (url: string, kinds: ReadonlyArray<ServedKind>): ReadonlyArray<string> => {
  const kind = kinds.find(({ takesNothing }) => takesNothing) ?? kinds[0]
  const payload = kind === undefined || kind.takesNothing ? "" : ` --payload '{"...": "..."}'`
  return [
    "In another terminal:",
    `  export DUETIME_DATABASE_URL='${url}'`,
    `  npx duetime schedule ${kind?.name ?? "<kind>"} --in 2s${payload}`,
    "  npx duetime tasks",
    "  npx duetime top"
  ]
}

/** For a folder with nothing in it yet. */
export const firstModule = (module: string): ReadonlyArray<string> => [
  `There is no ${module} yet. Save this as ${module}, and it runs at once:`,
  "",
  '  import { Console, Schema } from "effect"',
  '  import { Task } from "duetime"',
  "",
  '  const Greet = Task.define("greet", { payload: { name: Schema.String } })',
  "  export const tasks = [Greet.handle(({ name }) => Console.log(`Hello, ${name}!`))]",
  "",
  "Another module: --tasks <module>. Something to look at without any: --demo."
]
