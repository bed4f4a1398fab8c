import { Runtime, Schema } from "effect"

/** A setting of the machine, for programs. */
const exitCode = 3

/** No PostgreSQL for this platform is installed; the message names the package to install. */
export class EmbeddedPostgresUnavailable extends Schema.TaggedError<EmbeddedPostgresUnavailable>()(
  "EmbeddedPostgresUnavailable",
  { platform: Schema.String, message: Schema.String }
) {
  override readonly [Runtime.errorExitCode] = exitCode
}

/** The programs are there, but the server could not be made, started or stopped. */
export class EmbeddedPostgresFailed extends Schema.TaggedError<EmbeddedPostgresFailed>()("EmbeddedPostgresFailed", {
  step: Schema.Literals(["find", "own", "initdb", "start"]),
  message: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = exitCode
}
