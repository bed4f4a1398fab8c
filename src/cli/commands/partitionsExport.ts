import * as Command from "effect/cli/Command"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { withRetention } from "../connection.ts"
import { day, to } from "../days.ts"
import { exportDay } from "../exportDay.ts"
import { counted } from "../render/table.ts"
import { usage } from "../usage.ts"

/** A line on stderr every so many events. */
const progressEvery = 100_000

export const tellPages = (events: number) =>
  events % progressEvery === 0 ? Console.error(`${counted(events, "event")} so far ...`) : Effect.void

export const partitionsExport = Command.make(
  "export",
  { day, to },
  answering(({ day, to }) =>
    withRetention((retention) =>
      Effect.gen(function* () {
        const days = yield* retention.days
        if (!days.some((found) => found.day === day)) return yield* usage(`There is no day ${day}: ${rangeOf(days)}.`)
        const exported = yield* exportDay(retention, day, to, tellPages)
        return {
          document: { day, ...exported },
          text: () => `${exported.file}  ${counted(exported.events, "event")}  sha256 ${exported.sha256}`,
          notes: exported.resumedAt === 0 ? [] : [`Went on behind ${counted(exported.resumedAt, "event")}.`]
        }
      })
    )
  )
).pipe(
  Command.withDescription("Write a day of history to compressed JSON Lines; repeated, it goes on where it was"),
  Command.withExamples([
    {
      command: "duetime partitions export 2026-11-15 --to 2026-11-15.jsonl.gz",
      description: "With its checksum beside it"
    }
  ])
)

export const rangeOf = (days: ReadonlyArray<{ readonly day: string }>): string =>
  days.length === 0 ? "there is none" : `there are ${days[0]?.day} to ${days.at(-1)?.day}`
