import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"
import { withClient } from "../connection.ts"
import { oneLine } from "../render/text.ts"
import { timeline } from "../render/timeline.ts"

/** Lines of a stack that are shown. */
const stackLinesMax = 20

export const deadShow = Command.make(
  "show",
  { id: Argument.String("id").pipe(Argument.withDescription("Id of the dead letter")) },
  answering(({ id }) =>
    withClient(({ duetime }) =>
      Effect.gen(function* () {
        const view = yield* duetime.get(id)
        const events = yield* duetime.history(id)
        const { fingerprintOf } = yield* Effect.promise(() => import("../../core/fingerprint.ts"))
        const isDead = view.stage === "dead" && view.lastError !== null
        const fingerprint = isDead && view.lastError !== null ? fingerprintOf(view.kind, view.lastError) : null
        const stack = view.lastError?.stack?.split("\n").slice(0, stackLinesMax) ?? []
        return {
          document: { task: view, group: fingerprint?.group ?? null, cause: fingerprint?.cause ?? null, events },
          text: (paint) =>
            [
              timeline(view, events, paint),
              ...(fingerprint === null
                ? []
                : ["", `group      ${fingerprint.group}`, `cause      ${oneLine(fingerprint.cause)}`]),
              ...(stack.length === 0 ? [] : ["", ...stack.map((line) => paint.quiet(`  ${oneLine(line)}`))])
            ].join("\n"),
          notes: isDead ? [] : [`It is no dead letter: it is ${view.stage}.`]
        }
      })
    )
  )
).pipe(
  Command.withDescription("Show one dead letter: its history, its error with the stack, and its group"),
  Command.withExamples([
    { command: "duetime dead show 019ab1d6-9c00-7a1b-8c2d-0123456789ab", description: "What it died of" }
  ])
)
