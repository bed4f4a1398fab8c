import * as Clock from "effect/Clock"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { stages } from "../../core/TaskState.ts"
import type { Found } from "../../FindOptions.ts"
import { answering } from "../Answer.ts"
import { withClient } from "../connection.ts"
import { after, kind, limit } from "../parameters.ts"
import { foundText, nextPage } from "../render/tasks.ts"

const stageDefault = "pending"
/** For who expects tasks and sees none: they have gone on. */
const otherStages = `Other stages: --stage ${stages.filter((stage) => stage !== stageDefault).join(", ")}.`

const stage = Flag.Literals("stage", stages).pipe(
  Flag.withDescription(`${stages.join(", ")}; default ${stageDefault}, the next due first`),
  Flag.withMetavar("stage"),
  Flag.withDefault(stageDefault)
)

export const tasks = Command.make(
  "tasks",
  { stage, kind, limit, after },
  answering(({ after, kind, limit, stage }) =>
    withClient(({ duetime, store }) =>
      Effect.gen(function* () {
        const filter = { stage, kind: Option.getOrUndefined(kind), limit, after: Option.getOrUndefined(after) }
        const found: Found = yield* duetime.find(filter)
        const nowMs = (yield* Clock.currentTimeMillis) + store.clockOffsetMs()
        return {
          document: found,
          rows: found.tasks,
          text: (paint) => foundText(found, nowMs, paint),
          notes: [
            ...(found.tasks.length > 0
              ? []
              : [
                  `No ${stage} tasks${Option.match(kind, { onNone: () => "", onSome: (name) => ` of kind ${name}` })}${
                    found.next === null ? "" : " in the part of the history that was looked through"
                  }.`
                ]),
            ...(found.tasks.length === 0 && stage === stageDefault ? [otherStages] : []),
            ...nextPage(found, ["tasks", "--stage", stage], filter.kind)
          ]
        }
      })
    )
  )
).pipe(
  Command.withDescription("List the tasks of one stage"),
  Command.withExamples([
    { command: "duetime tasks --stage running --kind send-reminder", description: "What runs now" }
  ])
)
