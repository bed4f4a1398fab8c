import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { wholeNumber } from "../parameters.ts"
import { usage } from "../usage.ts"

const tasks = Flag.String("tasks").pipe(
  Flag.withDescription("Module that exports tasks; default tasks.ts, .mts, .js or .mjs, here or in src"),
  Flag.withMetavar("module"),
  Flag.optional
)
const demo = Flag.Boolean("demo").pipe(
  Flag.withDescription("Run kinds to look at instead: a steady one, one that comes in bursts, one that fails at first"),
  Flag.withDefault(false),
  Flag.withoutNegation
)
const fresh = Flag.Boolean("fresh").pipe(
  Flag.withDescription("Begin with an empty database"),
  Flag.withDefault(false),
  Flag.withoutNegation
)
const port = wholeNumber("port", 1, 65_535).pipe(
  Flag.withDescription("Open the database on this port of 127.0.0.1, without a password; default none, only a socket"),
  Flag.withMetavar("port"),
  Flag.optional
)

/** Everything below is loaded here and not before: `--help` does not need it. */
export const dev = Command.make("dev", { tasks, demo, fresh, port }, (options) =>
  Effect.flatMap(
    Effect.promise(() => import("../dev/develop.ts")),
    ({ develop }) => develop(options)
  )
).pipe(
  Command.validate(({ demo, tasks }) =>
    demo && Option.isSome(tasks) ? usage("--demo has tasks of its own; leave --tasks out.") : Effect.void
  ),
  Command.withDescription("Develop: a PostgreSQL of its own, and your tasks, run anew whenever a file of them changes"),
  Command.withExamples([
    { command: "duetime dev", description: "In the folder of tasks.ts; Ctrl-C stops all of it" },
    { command: "duetime dev --demo", description: "Something to look at" }
  ])
)
