import { teardown } from "./failure.ts"
import { program } from "./program.ts"
import { runMain } from "./runMain.ts"

/** `duetime tasks | head -1` closes our output early: that is no failure. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0)
  throw error
})

runMain(program(process.argv.slice(2)), { disableErrorReporting: true, teardown })
