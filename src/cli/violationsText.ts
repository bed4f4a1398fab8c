import type { Violation } from "../core/audit.ts"
import type { Paint } from "./render/paint.ts"
import { table } from "./render/table.ts"
import { oneLine } from "./render/text.ts"

/** Findings shown one by one; all are counted. */
export const shownMax = 50

export const violationsText = (violations: ReadonlyArray<Violation>, paint: Paint): string =>
  table(
    violations,
    [
      { title: "RULE", value: ({ invariant }) => invariant, paint: paint.bad },
      { title: "TASK", value: ({ taskId }) => taskId },
      { title: "VERSION", value: ({ version }) => (version === null ? "" : String(version)), align: "right" },
      { title: "FINDING", value: ({ message }) => oneLine(message) }
    ],
    paint
  )
