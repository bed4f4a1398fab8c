import * as Command from "effect/cli/Command"
import { partitionsDrop } from "./partitionsDrop.ts"
import { partitionsEnsure } from "./partitionsEnsure.ts"
import { partitionsExport } from "./partitionsExport.ts"
import { partitionsList } from "./partitionsList.ts"

export const partitions = Command.make("partitions").pipe(
  Command.withDescription(
    "Look at the partitions that tasks and history lie in, keep them ready, and export and drop days"
  ),
  Command.withExamples([{ command: "duetime partitions list", description: "Where the rows and bytes are" }]),
  Command.withSubcommands([partitionsList, partitionsEnsure, partitionsExport, partitionsDrop])
)
