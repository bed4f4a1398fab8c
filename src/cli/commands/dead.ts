import * as Command from "effect/cli/Command"
import { deadDiscard } from "./deadDiscard.ts"
import { deadGroups } from "./deadGroups.ts"
import { deadList } from "./deadList.ts"
import { deadRedrive } from "./deadRedrive.ts"
import { deadShow } from "./deadShow.ts"

export const dead = Command.make("dead").pipe(
  Command.withDescription("Look through dead letters by their causes, and redrive or discard them"),
  Command.withExamples([{ command: "duetime dead groups", description: "What has failed for good, and of what" }]),
  Command.withSubcommands([deadGroups, deadList, deadShow, deadRedrive, deadDiscard])
)
