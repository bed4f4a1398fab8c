import * as Cause from "effect/Cause"
import * as CliError from "effect/cli/CliError"
import * as CliOutput from "effect/cli/CliOutput"
import * as Config from "effect/Config"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import { oneLine } from "./render/text.ts"

/** Characters of a bug's own message. */
const bugLengthMax = 300
/** Set to anything, it shows failures with their stack. */
const isDebug = Config.option(Config.String("DUETIME_DEBUG")).pipe(
  Effect.map((value) => Option.getOrElse(value, () => "") !== ""),
  Effect.orElseSucceed(() => false)
)
/** Exit status of a command line that makes no sense. */
const usageExitCode = 2

/** A wrong call gets its error and where to look; only who asks for help gets the whole page. */
export const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Effect.forEach(event.errors, (error) => Console.error(error.message), { discard: true }).pipe(
          Effect.andThen(Console.error(`See "${event.commandPath.join(" ")} --help".`))
        )
      : CliOutput.defaultPresenter.present(event)
}

/** Says on stderr why the command failed: a known error in its own words, a bug in one line with where to report it. */
export const report = Effect.fnUntraced(function* (cause: Cause.Cause<unknown>) {
  const error = Cause.squash(cause)
  if (Cause.hasInterruptsOnly(cause) || (CliError.isCliError(error) && error._tag === "ShowHelp")) return
  if (yield* isDebug) return yield* Console.error(Cause.pretty(cause))
  if (isKnown(error)) return yield* Console.error(error.message)
  const [message = ""] = (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).split("\n")
  yield* Console.error(
    `duetime met a bug of its own: ${oneLine(message, bugLengthMax)}\nPlease open an issue with the command and what it prints with DUETIME_DEBUG=1.`
  )
})

/** 0 done, 130 interrupted, 2 for a wrong call, else the error's own; see docs/reference/cli.md. */
export const teardown: Runtime.Teardown = (exit, onExit) => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return Runtime.defaultTeardown(exit, onExit)
  const error = Cause.squash(exit.cause)
  const isWrongCall = CliError.isCliError(error) && (error._tag !== "ShowHelp" || error.errors.length > 0)
  return isWrongCall ? onExit(usageExitCode) : Runtime.defaultTeardown(exit, onExit)
}

const isKnown = (error: unknown): error is Error =>
  error instanceof Error && (Runtime.errorExitCode in error || CliError.isCliError(error))
