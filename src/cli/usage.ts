import * as CliError from "effect/cli/CliError"
import * as Effect from "effect/Effect"

/** A command line whose parts do not go together. */
export const usage = (message: string) => Effect.fail(new CliError.ValidationError({ message }))
