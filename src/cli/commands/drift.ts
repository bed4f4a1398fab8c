import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import type { DriftRow, DriftVitals, Percentiles } from "../../store/Vitals.ts"
import { answering } from "../Answer.ts"
import { withVitals } from "../connection.ts"
import { kind, noSpan } from "../parameters.ts"
import { counted, table } from "../render/table.ts"
import { instant, span } from "../render/time.ts"
import { millisecondsOf } from "../span.ts"
import { usage } from "../usage.ts"

const lastMsMax = 31 * 86_400_000
const last = Flag.String("last").pipe(
  Flag.withDescription("Of tasks that fell due within this span until now, up to 31d; default 1h"),
  Flag.withMetavar("span"),
  Flag.filterMap(millisecondsOf, noSpan),
  Flag.withDefault(3_600_000)
)

export const drift = Command.make(
  "drift",
  { last, kind },
  answering(({ kind, last }) =>
    Effect.map(
      withVitals((vitals) => vitals.drift({ lastMs: last, kind: Option.getOrUndefined(kind) })),
      (found) => ({
        document: { ...found, lastMs: last },
        rows: found.rows,
        text: (paint) =>
          found.rows.length === 0
            ? ""
            : table<DriftRow>(
                found.rows,
                [
                  { title: "KIND", value: (row) => row.kind },
                  { title: "QUEUE", value: (row) => row.queue },
                  { title: "PRIORITY", value: (row) => row.priority },
                  { title: "ATTEMPTS", value: (row) => row.attemptsCount.toLocaleString("en-US"), align: "right" },
                  { title: "P50", value: (row) => span(row.drift.p50), align: "right" },
                  { title: "P90", value: (row) => span(row.drift.p90), align: "right" },
                  { title: "P99", value: (row) => span(row.drift.p99), align: "right", paint: paint.strong },
                  { title: "MAX", value: (row) => span(row.drift.max), align: "right" },
                  { title: "CLAIM", value: (row) => both(row.claim), align: "right" },
                  { title: "DISPATCH", value: (row) => both(row.dispatch), align: "right" },
                  { title: "DELIVERY", value: (row) => both(row.delivery), align: "right" }
                ],
                paint
              ),
        notes: notesOf(found)
      })
    )
  )
).pipe(
  Command.validate(({ last }) => (last > 0 && last <= lastMsMax ? Effect.void : usage("--last is 1ms to 31d."))),
  Command.withDescription(
    "How late attempts have started, per kind, queue and priority, and where that time went (p50 and p99 of each lag)"
  ),
  Command.withExamples([
    { command: "duetime drift --last 15m", description: "Is it late now, and is it the claim or the delivery?" }
  ])
)

/** `p50 / p99`; nothing for a lag that there was none of. */
const both = (lag: Percentiles | null): string => (lag === null ? "" : `${span(lag.p50)} / ${span(lag.p99)}`)

const notesOf = ({ fromMs, isCut, rows }: DriftVitals): ReadonlyArray<string> => {
  const early = rows.reduce((sum, { earlyCount }) => sum + earlyCount, 0)
  return [
    ...(rows.length === 0 ? ["No attempt of a task that fell due in that time has started."] : []),
    ...(isCut ? [`Too much for one look: only tasks due since ${instant(new Date(fromMs))}.`] : []),
    ...(early === 0 ? [] : [`${counted(early, "attempt")} started before due: run "duetime audit".`])
  ]
}
