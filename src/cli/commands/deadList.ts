import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { TaskView } from "../../TaskView.ts"
import { answering } from "../Answer.ts"
import { withClient } from "../connection.ts"
import { group } from "../deadLetters.ts"
import { after, kind, limit } from "../parameters.ts"
import { table } from "../render/table.ts"
import { nextPage } from "../render/tasks.ts"
import { oneLine } from "../render/text.ts"
import { instant } from "../render/time.ts"

/** Histories read at a time. */
const readsInParallel = 4
/** Characters of the last error. */
const errorLengthMax = 100

export const deadList = Command.make(
  "list",
  { kind, group, limit, after },
  answering(({ after, group, kind, limit }) =>
    withClient(({ duetime }) =>
      Effect.gen(function* () {
        const kindName = Option.getOrUndefined(kind)
        const groupName = Option.getOrUndefined(group)
        const page = { kind: kindName, group: groupName, limit, after: Option.getOrUndefined(after) }
        const found = yield* duetime.find({ stage: "dead", ...page })
        const tasks = yield* Effect.forEach(found.tasks, (task) => duetime.get(task.id), {
          concurrency: readsInParallel
        })
        return {
          document: { tasks, next: found.next },
          text: (paint) =>
            tasks.length === 0
              ? ""
              : table<TaskView>(
                  tasks,
                  [
                    { title: "ID", value: (task) => task.id },
                    { title: "KIND", value: (task) => task.kind },
                    { title: "DEAD SINCE", value: (task) => (task.endedAt === null ? "" : instant(task.endedAt)) },
                    { title: "ATTEMPTS", value: (task) => String(task.attempts), align: "right" },
                    { title: "REASON", value: (task) => task.deadReason ?? "", paint: paint.bad },
                    { title: "LAST ERROR", value: errorOf }
                  ],
                  paint
                ),
          notes:
            tasks.length === 0
              ? ["No dead letters."]
              : nextPage(
                  found,
                  groupName === undefined ? ["dead", "list"] : ["dead", "list", "--group", groupName],
                  kindName
                )
        }
      })
    )
  )
).pipe(
  Command.withDescription("List dead letters with their last errors"),
  Command.withExamples([{ command: "duetime dead list --kind charge-card", description: "Of one kind" }])
)

const errorOf = ({ lastError }: TaskView): string =>
  lastError === null ? "" : oneLine(`${lastError.name}: ${lastError.message}`, errorLengthMax)
