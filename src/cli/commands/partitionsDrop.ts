import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import { answering } from "../Answer.ts"
import { withRetention } from "../connection.ts"
import { day, to } from "../days.ts"
import { exportDay, type Exported } from "../exportDay.ts"
import { counted } from "../render/table.ts"
import { usage } from "../usage.ts"
import { rangeOf, tellPages } from "./partitionsExport.ts"

const dayMs = 86_400_000

const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Only tell which days would be dropped"),
  Flag.withDefault(false),
  Flag.withoutNegation
)
const yes = Flag.Boolean("yes").pipe(
  Flag.withDescription("Do not ask before"),
  Flag.withAlias("y"),
  Flag.withDefault(false),
  Flag.withoutNegation
)

/** Some day could not be taken out: somebody holds the history. */
export class DaysHeld extends Schema.TaggedError<DaysHeld>("duetime/DaysHeld")("DaysHeld", {
  days: Schema.Array(Schema.String)
}) {
  override readonly [Runtime.errorExitCode] = 1
  override get message(): string {
    return `DaysHeld: ${this.days.join(", ")} cannot be dropped now: a transaction that has lasted for more than a second reads or writes the history, or an engine is at it. Nobody was made to wait; repeat the command when it has ended.`
  }
}

export const partitionsDrop = Command.make(
  "drop",
  { day, to: Flag.optional(to), dryRun, yes },
  answering((input) =>
    withRetention((retention) =>
      Effect.gen(function* () {
        const nowMs = yield* retention.nowMs
        if (Date.parse(`${input.day}T00:00:00Z`) + dayMs > nowMs) return yield* usage(`${input.day} is not over.`)
        const all = yield* retention.days
        const meant = all.filter(({ day }) => day <= input.day)
        if (meant.length === 0) return yield* usage(`There is no day up to ${input.day}: ${rangeOf(all)}.`)
        const names = meant.map(({ day }) => day)
        if (Option.isSome(input.to) && names.length > 1) {
          return yield* usage(
            `--to goes with one day, and ${names.join(", ")} would be dropped: days go oldest first. Drop ${names[0]} before.`
          )
        }
        const words = `${counted(names.length, "day")}: ${names.join(", ")}`
        if (input.dryRun)
          return { document: { dryRun: true, days: names, dropped: [] }, text: () => `Would drop ${words}` }
        if (!input.yes) {
          const { canPrompt } = yield* TerminalCapabilities
          if (!canPrompt) return yield* usage(`This would drop ${words}. Add --yes, or look first with --dry-run.`)
          const isSure = yield* Prompt.run(Prompt.Confirm({ message: `Drop ${words}?` }))
          if (!isSure) {
            return {
              document: { dryRun: false, days: names, dropped: [] },
              text: () => "",
              notes: ["Nothing was dropped."]
            }
          }
        }
        yield* retention.retire(input.day)
        const retired = (yield* retention.days).filter(({ day, isRetired }) => isRetired && names.includes(day))
        const exports: Array<Exported> = []
        const dropped: Array<string> = []
        for (const { day } of retired) {
          // Nothing is appended to a retired day any more: what is exported is all that is dropped.
          if (Option.isSome(input.to)) exports.push(yield* exportDay(retention, day, input.to.value, tellPages))
          yield* retention.drop(day)
          dropped.push(day)
        }
        const held = names.filter((name) => !dropped.includes(name))
        return {
          document: { dryRun: false, days: names, dropped, exports },
          text: () =>
            [
              `Dropped ${counted(dropped.length, "day")}${dropped.length > 0 ? `: ${dropped.join(", ")}` : ""}`,
              ...exports.map(({ events, file, sha256 }) => `${file}  ${counted(events, "event")}  sha256 ${sha256}`)
            ].join("\n"),
          ...(held.length === 0 ? {} : { failure: new DaysHeld({ days: held }) })
        }
      })
    )
  )
).pipe(
  Command.withDescription("Drop the days of history up to one that is over; what has not ended in them is kept"),
  Command.withExamples([
    {
      command: "duetime partitions drop 2026-11-15 --to 2026-11-15.jsonl.gz",
      description: "Exported first, and dropped when the file is complete"
    }
  ])
)
