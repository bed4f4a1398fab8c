import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { answering } from "../Answer.ts"
import { withClient } from "../connection.ts"

const prefix = Flag.String("prefix").pipe(
  Flag.withSchema(
    Schema.String.check(
      Schema.isPattern(/^[a-z][a-z0-9_]{0,39}$/, {
        message: "give 1 to 40 characters of a-z, 0-9 and _, a letter first"
      })
    )
  ),
  Flag.withDescription("What the roles' names begin with"),
  Flag.withDefault("duetime")
)

export const roles = Command.make(
  "roles",
  { prefix },
  answering(({ prefix }) =>
    Effect.gen(function* () {
      // Partitions first: what is there has its grants by the roles, and what is made later takes them from its table.
      yield* withClient(({ store }) => store.maintain)
      const { roles } = yield* Effect.promise(() => import("../../layers.ts"))
      yield* roles.apply(prefix)
      const names = roles.names.map((name) => `${prefix}_${name}`)
      return {
        document: { roles: names },
        text: () => names.join("\n"),
        notes: [
          `All tables belong to ${prefix}_owner now. Give each program's account one of the others: GRANT ${prefix}_worker TO mailer.`
        ]
      }
    })
  )
).pipe(
  Command.withDescription(
    "Make a database role for each kind of program, with what it needs of the tables and no more"
  ),
  Command.withExamples([{ command: "duetime roles", description: "Again after each change: it may be repeated" }])
)
