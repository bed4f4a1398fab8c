import * as Command from "effect/cli/Command"
import { partitionsEnsure } from "./partitionsEnsure.ts"
import { partitionsList } from "./partitionsList.ts"

export const partitions = Command.make("partitions").pipe(
  Command.withDescription("Look at the partitions that tasks and history lie in, and keep them ready"),
  Command.withExamples([{ command: "duetime partitions list", description: "Where the rows and bytes are" }]),
  Command.withSubcommands([partitionsList, partitionsEnsure])
)
