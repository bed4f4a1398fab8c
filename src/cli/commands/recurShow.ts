import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { recurrenceName, ruleText, standText, withRecurrences } from "../recurrences.ts"
import { followUpText } from "../render/followUp.ts"
import { table } from "../render/table.ts"
import { instant } from "../render/time.ts"

const lines = Flag.Int("lines").pipe(
  Flag.withDescription("Latest lines of the ledger, 1 to 1,000; default 10"),
  Flag.withMetavar("count"),
  Flag.withDefault(10)
)

export const recurShow = Command.make(
  "show",
  { name: recurrenceName, lines },
  answering(({ lines, name }) =>
    withRecurrences(({ recurrences }) =>
      Effect.gen(function* () {
        const { ruleWords } = yield* Effect.promise(() => import("../../ruleWords.ts"))
        const view = yield* recurrences.get(name)
        const ledger = yield* recurrences.ledger(name, lines)
        return {
          document: { recurrence: view, ledger },
          text: (paint) =>
            [
              `${view.name}  ${view.kind}  ${ruleText(view.rule)}  ${standText(view, paint)}`,
              `  says       ${ruleWords(view.rule)}`,
              `  revision   ${view.revision}, since ${instant(view.revisedAt)}`,
              `  policies   ${JSON.stringify(view.policies)}`,
              `  payload    ${JSON.stringify(view.payload)}`,
              ...(view.onSuccess === null ? [] : [`  on success ${followUpText(view.onSuccess)}`]),
              ...(view.onDead === null ? [] : [`  on death   ${followUpText(view.onDead)}`]),
              `  settled    until ${instant(view.settledUntil)}`,
              "",
              ledger.length === 0
                ? "No instant has been decided yet."
                : table(
                    ledger,
                    [
                      { title: "INSTANT", value: ({ nominalAt }) => instant(nominalAt) },
                      {
                        title: "UNTIL",
                        value: ({ nominalAt, until }) => (until.getTime() === nominalAt.getTime() ? "" : instant(until))
                      },
                      { title: "FATE", value: ({ fate }) => fate },
                      { title: "REVISION", value: ({ revision }) => String(revision), align: "right" },
                      { title: "TASK", value: ({ taskId }) => taskId ?? "" }
                    ],
                    paint
                  )
            ].join("\n")
        }
      })
    )
  )
).pipe(
  Command.withDescription("Show a recurrence, and what became of its latest instants"),
  Command.withExamples([{ command: "duetime recur show nightly-report --lines 30", description: "Did it run?" }])
)
