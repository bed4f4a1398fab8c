import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Stream from "effect/Stream"
import * as fs from "node:fs"
import { type Answer, answering } from "../Answer.ts"
import { type Client, withClient } from "../connection.ts"
import { ImportConflicts, ImportStopped } from "../ImportStopped.ts"
import type { Batch } from "../importLines.ts"
import { wholeNumber } from "../parameters.ts"
import { counted, table } from "../render/table.ts"
import { word } from "../doctor/Finding.ts"
import { usage } from "../usage.ts"

/** A line on stderr every so many tasks. */
const progressEvery = 50_000
/** Conflicts listed one by one; all are counted. */
const shownMax = 50

const file = Argument.String("file").pipe(
  Argument.withDescription("JSON Lines: kind, and payload, in or at, key, priority, expiresIn or expiresAt; - is stdin")
)
const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Only check every line, and schedule nothing"),
  Flag.withDefault(false),
  Flag.withoutNegation
)
const fromLine = wholeNumber("from-line", 1, 1_000_000_000).pipe(
  Flag.withDescription("Begin there: to go on after a line that was wrong; default 1"),
  Flag.withMetavar("line"),
  Flag.withDefault(1)
)

type Input = { readonly file: string; readonly dryRun: boolean; readonly fromLine: number }

export const importTasks = Command.make(
  "import",
  { file, dryRun, fromLine },
  answering((input: Input) =>
    input.dryRun ? importFile(input, null) : withClient((client) => importFile(input, client))
  )
).pipe(
  Command.validate(({ file }) =>
    file === "-" || fs.statSync(file, { throwIfNoEntry: false })?.isFile() === true
      ? Effect.void
      : usage(`There is no file ${file}.`)
  ),
  Command.withDescription(
    "Schedule the tasks of a file, one JSON object a line; stops at the first line that is wrong"
  ),
  Command.withExamples([
    { command: "duetime import tasks.jsonl --dry-run", description: "Is every line in order?" },
    { command: "pg_dump_tasks | duetime import -", description: "From another program" }
  ])
)

type Conflict = { readonly line: number; readonly kind: string; readonly key: string; readonly id: string }

/** Batch by batch: of a file of any size, one batch is in memory. */
const importFile = Effect.fnUntraced(function* (
  { dryRun, file, fromLine }: Input,
  client: Client | null
): Effect.fn.Return<Answer<ImportStopped | ImportConflicts>, ScheduleFailure> {
  const { batchLines, batchOf, linesOf } = yield* Effect.promise(() => import("../importLines.ts"))
  const tally = { checked: 0, created: 0, existing: 0 }
  const conflicts: Array<Conflict> = []
  let conflictsCount = 0
  let fault: Batch["fault"] = null
  const store = Effect.fnUntraced(function* ({ entries }: Batch) {
    if (client === null || entries.length === 0) return
    const receipts = yield* client.duetime.scheduleUntyped(entries.map(({ task }) => task))
    for (const [index, receipt] of receipts.entries()) {
      const entry = entries[index]
      if (receipt.created) tally.created++
      else if (!receipt.keyConflict) tally.existing++
      else {
        conflictsCount++
        const { key = "", kind } = entry?.task ?? { kind: "" }
        const name = typeof key === "string" ? key : key.key
        if (conflicts.length < shownMax) conflicts.push({ line: entry?.line ?? 0, kind, key: name, id: receipt.id })
      }
    }
  })
  yield* linesOf(file).pipe(
    Stream.filter(({ number }) => number >= fromLine),
    Stream.grouped(batchLines),
    Stream.mapEffect((lines) => batchOf(lines)),
    Stream.takeUntil((batch) => batch.fault !== null),
    Stream.runForEach((batch) =>
      Effect.gen(function* () {
        yield* store(batch)
        fault = batch.fault
        const told = Math.floor(tally.checked / progressEvery)
        tally.checked += batch.entries.length
        if (Math.floor(tally.checked / progressEvery) > told) {
          yield* Console.error(`${counted(tally.checked, "task")} so far ...`)
        }
      })
    )
  )
  const stopped = stoppedAt(file, fault, dryRun)
  const failure = stopped ?? (conflictsCount > 0 ? new ImportConflicts({ conflictsCount }) : null)
  return {
    document: { dryRun, ...tally, conflictsCount, conflicts, stoppedAtLine: stopped?.line ?? null },
    text: (paint) =>
      [
        ...(conflicts.length === 0
          ? []
          : [
              table(
                conflicts,
                [
                  { title: "LINE", value: ({ line }) => String(line), align: "right" },
                  { title: "KIND", value: ({ kind }) => kind },
                  { title: "KEY", value: ({ key }) => key },
                  { title: "BELONGS TO", value: ({ id }) => id }
                ],
                paint
              )
            ]),
        dryRun
          ? `${counted(tally.checked, "task")} in order`
          : `${counted(tally.created, "task")} scheduled, ${tally.existing.toLocaleString("en-US")} already there${
              conflictsCount === 0 ? "" : `, ${paint.bad(counted(conflictsCount, "conflict"))}`
            }`
      ].join("\n"),
    ...(failure === null ? {} : { failure })
  }
})

type ScheduleFailure = Effect.Error<ReturnType<Client["duetime"]["scheduleUntyped"]>>

const stoppedAt = (file: string, fault: Batch["fault"], dryRun: boolean): ImportStopped | null =>
  fault === null
    ? null
    : new ImportStopped({
        file,
        ...fault,
        wayOut: dryRun
          ? "Nothing was scheduled."
          : `The lines before it are scheduled: correct it, and go on with "duetime import ${word(file)} --from-line ${fault.line}".`
      })
