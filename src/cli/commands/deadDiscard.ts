import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type * as Prompt from "effect/cli/Prompt"
import type * as Effect from "effect/Effect"
import type { DeadLettersError } from "../../DeadLetters.ts"
import type { ActError } from "../../Duetime.ts"
import { type Answer, answering } from "../Answer.ts"
import { withClient } from "../connection.ts"
import { checkSelection, eachId, filterOf, inBulk, isBulk, selection, type Sureness } from "../deadLetters.ts"

const reason = Flag.String("reason").pipe(
  Flag.withDescription("Why nothing more is wanted of them; kept in their histories"),
  Flag.withMetavar("text")
)

export const deadDiscard = Command.make(
  "discard",
  { ...selection, reason },
  answering((input) =>
    withClient(
      ({ deadLetters, duetime }): Effect.Effect<Answer<ActError>, DeadLettersError | Sureness, Prompt.Environment> =>
        isBulk(input)
          ? inBulk(
              input,
              { verb: "discard", done: "discarded" },
              {
                count: deadLetters.count(filterOf(input)),
                move: deadLetters.discardAll(filterOf(input), input.reason)
              }
            )
          : eachId(input, "discarded", (id) => (input.dryRun ? duetime.get(id) : duetime.discard(id, input.reason)))
    )
  )
).pipe(
  Command.validate((input) => checkSelection(input)),
  Command.withDescription("End dead letters for good, with a reason; their histories stay"),
  Command.withExamples([
    {
      command: "duetime dead discard --group 3f9a0c11d2e4 --reason 'paid by hand, ticket 812' --dry-run",
      description: "How many would it be?"
    }
  ])
)
