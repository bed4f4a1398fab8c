import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import { answering } from "../Answer.ts"

const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Only list what would be applied"),
  Flag.withDefault(false),
  Flag.withoutNegation
)

export const migrate = Command.make(
  "migrate",
  { dryRun },
  answering(({ dryRun }) =>
    Effect.gen(function* () {
      const { migrations } = yield* Effect.promise(() => import("../../layers.ts"))
      const applied = yield* dryRun ? migrations.pending : migrations.apply
      const names = applied.map(({ id, name }) => `${String(id).padStart(4, "0")}_${name}`)
      return {
        document: { dryRun, migrations: names },
        text: () => names.join("\n"),
        notes: [
          names.length === 0
            ? "The database is up to date."
            : dryRun
              ? `${names.length} to apply; without --dry-run they are applied in one transaction.`
              : `${names.length} applied.`
        ]
      }
    })
  )
).pipe(
  Command.withDescription("Bring the database's tables to what this version needs"),
  Command.withExamples([{ command: "duetime migrate --dry-run", description: "See what would change" }])
)
