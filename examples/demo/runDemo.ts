/** What the demos have in common as programs: flags, where the log goes, what is printed, and how they end. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Data, Effect, Exit, Logger, Runtime } from "effect"
import * as fs from "node:fs"
import { type Options, optionsOf, type Program } from "./options.ts"
import type { RunFolder } from "./runFolder.ts"

/** The summary has told already what is wrong; this gives the exit code 1. */
class PromiseBroken extends Data.TaggedError("PromiseBroken") {}

export const runDemo = <Summary extends { readonly ok: boolean }, E>(demo: {
  readonly program: Program
  readonly run: (options: Options) => Effect.Effect<Summary, E>
  readonly textOf: (summary: Summary, stream: NodeJS.WriteStream) => string
}): void => {
  const main = Effect.gen(function* () {
    const options = yield* optionsOf(process.argv.slice(2), demo.program)
    if (options.help) {
      process.stdout.write(`${demo.program.usage}\n`)
      return
    }
    const summary = yield* demo.run(options)
    if (options.json) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`)
    const stream = options.json ? process.stderr : process.stdout
    stream.write(demo.textOf(summary, stream))
    if (!summary.ok) return yield* new PromiseBroken()
  })
  NodeRuntime.runMain(main, {
    disableErrorReporting: true,
    teardown: (exit, onExit) => {
      if (Exit.isFailure(exit)) tell(exit.cause)
      Runtime.defaultTeardown(exit, onExit)
    }
  })
}

export const announce = ({ isResumed, log, plan }: RunFolder): void => {
  const what = isResumed ? "goes on with the run that was stopped" : "begins"
  process.stderr.write(`The demo ${what} (seed ${plan.seed}). Warnings go to ${log}.\n`)
}

/** Warnings would tear the picture apart. */
export const logTo = (file: string) =>
  Logger.layer([Logger.map(Logger.formatLogFmt, (line) => fs.appendFileSync(file, `${line}\n`))])

const tell = (cause: Cause.Cause<unknown>): void => {
  const error = Cause.squash(cause)
  if (error instanceof PromiseBroken) return
  const text = Cause.hasInterruptsOnly(cause)
    ? "Stopped, with nothing left running. Start it again, and it goes on."
    : error instanceof Error
      ? error.message
      : String(error)
  process.stderr.write(`${text}\n`)
}
