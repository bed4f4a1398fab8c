import * as Command from "effect/cli/Command"
import { projectionsRebuild } from "./projectionsRebuild.ts"

export const projections = Command.make("projections").pipe(
  Command.withDescription("Make the projections anew from the events"),
  Command.withExamples([{ command: "duetime projections rebuild", description: "Compare, and change nothing" }]),
  Command.withSubcommands([projectionsRebuild])
)
