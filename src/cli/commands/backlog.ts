import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { withClient } from "../connection.ts"
import { table } from "../render/table.ts"
import { span } from "../render/time.ts"

export const backlog = Command.make(
  "backlog",
  {},
  answering(() =>
    withClient(({ store }) =>
      Effect.gen(function* () {
        const rows = yield* store.backlog
        const nowMs = (yield* Clock.currentTimeMillis) + store.clockOffsetMs()
        return {
          document: rows,
          rows,
          text: (paint) =>
            rows.length === 0
              ? ""
              : table(
                  rows,
                  [
                    { title: "KIND", value: (row) => row.kind },
                    { title: "DUE", value: (row) => row.dueCount.toLocaleString("en-US"), align: "right" },
                    {
                      title: "OLDEST",
                      value: (row) => (row.oldestDueAtMs === null ? "" : span(Math.max(0, nowMs - row.oldestDueAtMs))),
                      align: "right"
                    },
                    {
                      title: "IN PROGRESS",
                      value: (row) => row.inProgressCount.toLocaleString("en-US"),
                      align: "right"
                    },
                    {
                      title: "PARKED",
                      value: (row) => row.parkedCount.toLocaleString("en-US"),
                      align: "right",
                      paint: (text, row) => (row.parkedCount > 0 ? paint.bad(text) : text)
                    },
                    {
                      title: "DEAD",
                      value: (row) => row.deadCount.toLocaleString("en-US"),
                      align: "right",
                      paint: (text, row) => (row.deadCount > 0 ? paint.bad(text) : text)
                    }
                  ],
                  paint
                ),
          notes: rows.length === 0 ? ["No kinds yet, so nothing is due."] : []
        }
      })
    )
  )
).pipe(
  Command.withDescription("Count per kind what is due and not started, in progress, parked and dead"),
  Command.withExamples([{ command: "duetime backlog", description: "What waits, and since when" }])
)
