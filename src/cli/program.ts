import * as NodeServices from "@effect/platform-node/NodeServices"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import * as TerminalCapabilities from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as References from "effect/References"
import { readFileSync } from "node:fs"
import { presenter, report } from "./failure.ts"
import { rootCommand } from "./rootCommand.ts"

/**
 * The terminal's door to duetime. A command line becomes an effect that answers (`Answer.ts`) or fails with a tagged
 * error, which is told on stderr; its own exit status ends the process (`failure.ts`). Nothing but data is ever written
 * to stdout.
 */
export const program = (args: ReadonlyArray<string>) =>
  Command.runWith(rootCommand, { version: manifest.version })(args).pipe(
    Effect.tapCause(report),
    Effect.provide(terminal)
  )

const manifest: { readonly version: string } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8")
)

/** Its list of shells is wider than all the rest of the help; docs/reference/cli.md has it. */
const completions = { ...GlobalFlag.Completions, flag: Flag.withHidden(GlobalFlag.Completions.flag) }

const terminal = Layer.mergeAll(
  TerminalCapabilities.layer,
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, completions] }),
  CliOutput.layerPresenter(presenter),
  Layer.succeed(Logger.LogToStderr, true),
  Layer.succeed(References.MinimumLogLevel, "Warn")
).pipe(Layer.provideMerge(NodeServices.layer))
