#!/usr/bin/env node
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
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
import { presenter, report, teardown } from "./failure.ts"
import { rootCommand } from "./rootCommand.ts"

/**
 * The terminal's door to duetime. A command line becomes an effect that answers (`Answer.ts`) or fails with a tagged
 * error; the error's own exit status ends the process. Nothing but data is ever written to stdout.
 */
const manifest: { readonly version: string } = JSON.parse(
  readFileSync(new URL("../../package.json", import.meta.url), "utf8")
)

/** `duetime tasks | head -1` closes our output early: that is no failure. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0)
  throw error
})

/** Its list of shells is wider than all the rest of the help; docs/reference/cli.md has it. */
const completions = { ...GlobalFlag.Completions, flag: Flag.withHidden(GlobalFlag.Completions.flag) }

const terminal = Layer.mergeAll(
  TerminalCapabilities.layer,
  CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, completions] }),
  CliOutput.layerPresenter(presenter),
  Layer.succeed(Logger.LogToStderr, true),
  Layer.succeed(References.MinimumLogLevel, "Warn")
).pipe(Layer.provideMerge(NodeServices.layer))

rootCommand.pipe(
  Command.run({ version: manifest.version }),
  Effect.provide(terminal),
  Effect.tapCause(report),
  NodeRuntime.runMain({ disableErrorReporting: true, teardown })
)
