import * as Command from "effect/cli/Command"
import { healthFlags, running, workerFlags } from "../roleFlags.ts"

export const worker = Command.make("worker", { ...workerFlags, ...healthFlags }, running("worker")).pipe(
  Command.withDescription("Run a worker: start what is due of the kinds that a module handles"),
  Command.withExamples([{ command: "duetime worker --tasks email.ts --concurrency 200", description: "One service" }])
)
