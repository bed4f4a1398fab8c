import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { attemptsOf } from "../attempts.ts"
import { withClient } from "../connection.ts"
import { latenessOf } from "../lateness.ts"
import { id } from "../parameters.ts"
import { timeline } from "../render/timeline.ts"

export const task = Command.make(
  "task",
  { id },
  answering(({ id }) =>
    withClient(({ duetime }) =>
      Effect.gen(function* () {
        const view = yield* duetime.get(id)
        const events = yield* duetime.history(id)
        const attempts = attemptsOf(events).map((attempt) => ({ ...attempt, late: latenessOf(events, attempt) }))
        return {
          document: { task: view, attempts, events },
          text: (paint) => timeline(view, events, paint)
        }
      })
    )
  )
).pipe(
  Command.withDescription("Show one task: what was asked for, and all that happened to it"),
  Command.withExamples([
    {
      command: "duetime task 019ab1d6-9c00-7a1b-8c2d-0123456789ab",
      description: "Where its time went, and why it was late"
    }
  ])
)
