import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { PartitionRow, PartitionVitals } from "../../store/Vitals.ts"
import { answering } from "../Answer.ts"
import { withVitals } from "../connection.ts"
import { bytes } from "../render/bytes.ts"
import { counted, table } from "../render/table.ts"

const tables = ["event", "due", "occurrence"] as const
const only = Flag.Literals("table", tables).pipe(
  Flag.withDescription(`Only of this table: ${tables.join(", ")}`),
  Flag.withMetavar("table"),
  Flag.optional
)
const all = Flag.Boolean("all").pipe(
  Flag.withDescription("Also those without rows"),
  Flag.withDefault(false),
  Flag.withoutNegation
)

export const partitionsList = Command.make(
  "list",
  { table: only, all },
  answering((input) =>
    Effect.map(
      withVitals((vitals) => vitals.partitions),
      ({ atMs, partitions, steps }) => {
        const rows = partitions
          .filter((row) => Option.getOrElse(input.table, () => row.table) === row.table)
          .map((row) => ({ ...row, state: stateOf(row, atMs) }))
        const shown = input.all ? rows : rows.filter((row) => row.rows > 0 || row.deadRows > 0 || row.state === "today")
        return {
          document: { partitions: rows, steps },
          rows: shown,
          text: (paint) =>
            shown.length === 0
              ? ""
              : table(
                  shown,
                  [
                    { title: "PARTITION", value: ({ name }) => name },
                    { title: "STATE", value: ({ state }) => state },
                    { title: "ROWS", value: ({ rows }) => rows.toLocaleString("en-US"), align: "right" },
                    { title: "DEAD", value: ({ deadRows }) => deadRows.toLocaleString("en-US"), align: "right" },
                    { title: "SIZE", value: (row) => bytes(row.bytes), align: "right" }
                  ],
                  paint
                ),
          notes: [
            ...(shown.length < rows.length
              ? [`${counted(rows.length - shown.length, "partition")} without rows left out: --all shows them.`]
              : []),
            ...missing(steps)
          ]
        }
      }
    )
  )
).pipe(
  Command.withDescription(
    "List the partitions with their rows as the server estimates them, their size and their state"
  ),
  Command.withExamples([
    { command: "duetime partitions list --table event", description: "How much history, day by day" }
  ])
)

/** The kept one holds what goes on of the days that are over. */
const stateOf = ({ fromMs, toMs }: PartitionRow, atMs: number): string =>
  fromMs === null ? "kept" : toMs <= atMs ? "over" : fromMs <= atMs ? "today" : "ahead"

const missing = (steps: PartitionVitals["steps"]): ReadonlyArray<string> => {
  const count = steps.reduce((sum, { partitions }) => sum + partitions.length, 0)
  return count === 0 ? [] : [`${count} missing, or to be split or retired: "duetime partitions ensure" does that.`]
}
