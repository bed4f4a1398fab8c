import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { answering } from "../Answer.ts"
import { after, limit } from "../parameters.ts"
import { ruleText, standText, withRecurrences } from "../recurrences.ts"
import { table } from "../render/table.ts"

export const recurList = Command.make(
  "list",
  { limit, after },
  answering(({ after, limit }) =>
    withRecurrences(({ recurrences }) =>
      Effect.map(recurrences.list({ limit, after: Option.getOrUndefined(after) }), (views) => ({
        document: views,
        rows: views,
        text: (paint) =>
          views.length === 0
            ? ""
            : table(
                views,
                [
                  { title: "NAME", value: ({ name }) => name },
                  { title: "KIND", value: ({ kind }) => kind },
                  { title: "RULE", value: ({ rule }) => ruleText(rule) },
                  { title: "REVISION", value: ({ revision }) => String(revision), align: "right" },
                  { title: "STANDS", value: (view) => standText(view, paint) }
                ],
                paint
              ),
        notes:
          views.length === 0
            ? ["No recurrences."]
            : views.length < limit
              ? []
              : [`More: duetime recur list --after ${views.at(-1)?.name}`]
      }))
    )
  )
).pipe(
  Command.withDescription("List recurrences by name, with their rules and next instants"),
  Command.withExamples([{ command: "duetime recur list", description: "What fires when" }])
)
