import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { TaskEnd } from "../../TaskEnd.ts"
import { type Answer, answering } from "../Answer.ts"
import { withClient } from "../connection.ts"
import { NotSucceeded } from "../NotSucceeded.ts"
import { id, noSpan } from "../parameters.ts"
import { jsonLine, oneLine } from "../render/text.ts"
import { millisecondsOf } from "../span.ts"

const timeout = Flag.String("timeout").pipe(
  Flag.withDescription("Wait at most so long, up to a day; default 30s"),
  Flag.withMetavar("span"),
  Flag.filterMap(millisecondsOf, noSpan),
  Flag.optional
)

export const wait = Command.make(
  "wait",
  { id, timeout },
  answering(({ id, timeout }) =>
    withClient(({ duetime }) =>
      Effect.map(duetime.awaitEnd(id, { timeout: Option.getOrUndefined(timeout) }), (end): Answer<NotSucceeded> => ({
        document: { id, end },
        text: () => textOf(end),
        ...(end._tag === "Succeeded" ? {} : { failure: new NotSucceeded({ taskId: id, end: wordOf[end._tag] }) })
      }))
    )
  )
).pipe(
  Command.withDescription("Wait until a task has ended; exit 1 unless it has succeeded"),
  Command.withExamples([
    { command: "duetime wait 019ab1d6-9c00-7a1b-8c2d-0123456789ab --timeout 5m", description: "In a script" }
  ])
)

const wordOf = {
  Succeeded: "succeeded",
  Dead: "dead",
  Cancelled: "cancelled",
  Expired: "expired",
  Waiting: "still waiting"
} as const satisfies Record<TaskEnd["_tag"], string>

const textOf = (end: TaskEnd): string => {
  switch (end._tag) {
    case "Succeeded":
      return jsonLine(end.result)
    case "Dead":
      return `dead, ${end.reason}: ${oneLine(end.error.name)}: ${oneLine(end.error.message)}`
    default:
      return wordOf[end._tag]
  }
}
