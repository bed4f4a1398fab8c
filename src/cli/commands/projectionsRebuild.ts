import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type { Violation } from "../../core/audit.ts"
import type { Projections } from "../../store/Projections.ts"
import { type Answer, answering } from "../Answer.ts"
import { withProjections } from "../connection.ts"
import { eachPage } from "../eachPage.ts"
import { ProjectionsDiffer } from "../ProjectionsDiffer.ts"
import { counted } from "../render/table.ts"
import { shownMax, violationsText } from "../violationsText.ts"

const replace = Flag.Boolean("replace").pipe(
  Flag.withDescription("Put the rows made from the events in the place of those that differ"),
  Flag.withDefault(false),
  Flag.withoutNegation
)

export const projectionsRebuild = Command.make(
  "rebuild",
  { replace },
  answering((options) => withProjections((projections) => rebuild(projections, options.replace)))
).pipe(
  Command.withDescription("Fold all events again and compare the outcome with the rows; exit 1 while they differ"),
  Command.withExamples([
    { command: "duetime projections rebuild", description: "Compare, and change nothing" },
    { command: "duetime projections rebuild --replace", description: "Heal what differs, beside running engines" }
  ])
)

/**
 * Strays go first: a second row of a task in `due` would be claimed once more. Replacing comes page by page, in transactions that
 * stop everybody for some milliseconds each.
 */
const rebuild = Effect.fnUntraced(function* (projections: Projections["Service"], isReplacing: boolean) {
  const { auditKey, auditRow, auditStream } = yield* Effect.promise(() => import("../../core/audit.ts"))
  const { replacedMax } = yield* Effect.promise(() => import("../../store/Projections.ts"))
  const shown: Array<Violation> = []
  const counts = { differencesCount: 0, damagedCount: 0, replacedCount: 0 }
  const found = (differences: ReadonlyArray<Violation>): boolean => {
    counts.differencesCount += differences.length
    if (differences.length > 0) counts.damagedCount++
    if (shown.length < shownMax) shown.push(...differences.slice(0, shownMax - shown.length))
    return differences.length > 0
  }
  /** What differs, and its count once it no longer does. */
  const heal = Effect.fnUntraced(function* <A, E>(
    damaged: ReadonlyArray<A>,
    change: (some: ReadonlyArray<A>) => Effect.Effect<number, E>
  ) {
    if (!isReplacing) return
    for (let from = 0; from < damaged.length; from += replacedMax) {
      counts.replacedCount += yield* change(damaged.slice(from, from + replacedMax))
    }
  })

  const rowsCount = yield* eachPage("row", projections.rows, (rows) =>
    heal(
      rows.filter((row) => found(auditRow(row))),
      projections.remove
    )
  )
  const tasksCount = yield* eachPage("task", projections.streams, (streams) => {
    const damaged = streams.filter((stream) =>
      found(auditStream(stream).filter(({ invariant }) => invariant === "S10"))
    )
    return heal(
      damaged.map(({ taskId }) => taskId),
      projections.replace
    )
  })

  for (const fault of yield* projections.keyFaults) found([auditKey(fault)])
  if (isReplacing) counts.replacedCount += yield* projections.replaceKeys

  const { damagedCount, differencesCount, replacedCount } = counts
  const left = damagedCount - replacedCount
  return {
    document: { tasksCount, rowsCount, differencesCount, replacedCount, differences: shown },
    text: (paint) =>
      [
        ...(shown.length === 0 ? [] : [violationsText(shown, paint)]),
        `${counted(tasksCount, "task")}, ${counted(rowsCount, "row")}, ${
          differencesCount === 0 ? paint.good("0 differences") : paint.bad(counted(differencesCount, "difference"))
        }${isReplacing ? `, ${replacedCount} replaced` : ""}`
      ].join("\n"),
    ...(left === 0
      ? {}
      : {
          failure: new ProjectionsDiffer({
            differencesCount,
            replacedCount,
            wayOut: isReplacing
              ? 'The rest has moved on, or its history cannot be trusted: see "duetime audit".'
              : 'Run "duetime projections rebuild --replace".'
          })
        })
  } satisfies Answer<ProjectionsDiffer>
})
