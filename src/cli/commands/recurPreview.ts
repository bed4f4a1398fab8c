import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type { Rule } from "../../core/recurrence/Rule.ts"
import { answering } from "../Answer.ts"
import { recurrenceName, withRecurrences } from "../recurrences.ts"
import { instant, localInstant } from "../render/time.ts"

const count = Flag.Int("count").pipe(
  Flag.withDescription("Instants, 1 to 1,000; default 5"),
  Flag.withMetavar("count"),
  Flag.withDefault(5)
)

/** With the time of day that the rule speaks of. */
const line = (at: Date, rule: Rule): string =>
  rule._tag === "Cron" && rule.zone !== "UTC" ? `${instant(at)}  ${localInstant(at, rule.zone)}`.trimEnd() : instant(at)

export const recurPreview = Command.make(
  "preview",
  { name: recurrenceName, count },
  answering(({ count, name }) =>
    withRecurrences(({ recurrences }) =>
      Effect.gen(function* () {
        const { ruleWords } = yield* Effect.promise(() => import("../../ruleWords.ts"))
        const instants = yield* recurrences.preview(name, count)
        const { rule } = yield* recurrences.get(name)
        return {
          document: instants,
          text: () => instants.map((at) => line(at, rule)).join("\n"),
          notes: [`${ruleWords(rule)}.`, ...(instants.length === 0 ? ["Its rule has no instant any more."] : [])]
        }
      })
    )
  )
).pipe(
  Command.withDescription("Tell what a recurrence's rule says, and its next instants"),
  Command.withExamples([{ command: "duetime recur preview nightly-report --count 10", description: "The next ten" }])
)
