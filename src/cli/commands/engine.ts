import * as Command from "effect/cli/Command"
import { healthFlags, running } from "../roleFlags.ts"

export const engine = Command.make("engine", healthFlags, running("engine")).pipe(
  Command.withDescription("Run an engine: bring tasks to the workers of their queues when they are due"),
  Command.withExamples([{ command: "duetime engine --health-port 8080", description: "Two of them survive one" }])
)
