import * as Command from "effect/cli/Command"
import { deadList } from "./deadList.ts"
import { deadRedrive } from "./deadRedrive.ts"

export const dead = Command.make("dead").pipe(
  Command.withDescription("Look through dead letters and give them another chance"),
  Command.withExamples([{ command: "duetime dead list", description: "What has failed for good" }]),
  Command.withSubcommands([deadList, deadRedrive])
)
