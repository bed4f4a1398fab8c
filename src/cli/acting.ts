import * as Effect from "effect/Effect"
import type { TaskSummary } from "../TaskView.ts"
import { answering } from "./Answer.ts"
import { type Client, withClient } from "./connection.ts"
import { summaryLine } from "./render/tasks.ts"

/** The handler of a command that wishes something of one task and tells where the task stands afterwards. */
export const acting = <Input, E>(act: (client: Client, input: Input) => Effect.Effect<TaskSummary, E>) =>
  answering((input: Input) =>
    withClient((client) =>
      Effect.map(act(client, input), (task) => ({
        document: task,
        text: (paint) => summaryLine(task, paint)
      }))
    )
  )
