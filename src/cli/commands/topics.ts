import * as Command from "effect/cli/Command"
import { topicsEnsure } from "./topicsEnsure.ts"
import { topicsList } from "./topicsList.ts"

export const topics = Command.make("topics").pipe(
  Command.withDescription("Make Kafka's topics and look at what waits in them"),
  Command.withExamples([{ command: "duetime topics list", description: "Partitions and lag" }]),
  Command.withSubcommands([topicsEnsure, topicsList])
)
