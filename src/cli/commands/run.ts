import * as Command from "effect/cli/Command"
import { healthFlags, running, workerFlags } from "../roleFlags.ts"

export const run = Command.make("run", { ...workerFlags, ...healthFlags }, running("run")).pipe(
  Command.withDescription("Run engine and worker in one process, with or without Kafka"),
  Command.withExamples([{ command: "duetime run --tasks tasks.ts", description: "All that a small system needs" }])
)
