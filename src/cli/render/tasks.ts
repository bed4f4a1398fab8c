import type { Found } from "../../FindOptions.ts"
import type { TaskSummary } from "../../TaskView.ts"
import { type Paint, paintStage } from "./paint.ts"
import { table } from "./table.ts"
import { fromNow, instant } from "./time.ts"

/** One line per task; empty for none. */
export const foundText = (found: Found, nowMs: number, paint: Paint): string =>
  found.tasks.length === 0
    ? ""
    : table<TaskSummary>(
        found.tasks,
        [
          { title: "ID", value: (task) => task.id },
          {
            title: "STAGE",
            value: (task) => (task.cancelRequested ? `${task.stage}, to be cancelled` : task.stage),
            paint: (text, task) => paintStage(paint, task.stage, text)
          },
          { title: "KIND", value: (task) => task.kind },
          { title: "PRIORITY", value: (task) => task.priority },
          { title: "ATTEMPTS", value: (task) => String(task.attempts), align: "right" },
          { title: "DUE", value: (task) => `${instant(task.dueAt)}, ${fromNow(task.dueAt.getTime() - nowMs)}` }
        ],
        paint
      )

/** The command for the page after this one. */
export const nextPage = (
  found: Found,
  command: ReadonlyArray<string>,
  kind: string | undefined
): ReadonlyArray<string> =>
  found.next === null
    ? []
    : [
        `More: duetime ${[...command, ...(kind === undefined ? [] : ["--kind", kind]), "--after", found.next].join(" ")}`
      ]

/** One line about a task that has just been acted upon. */
export const summaryLine = (task: TaskSummary, paint: Paint): string =>
  `${task.id}  ${paintStage(paint, task.stage, task.stage)}${task.cancelRequested ? ", to be cancelled" : ""}  due ${instant(task.dueAt)}`
