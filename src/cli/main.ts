#!/usr/bin/env node
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { teardown } from "./failure.ts"
import { program } from "./program.ts"

/** `duetime tasks | head -1` closes our output early: that is no failure. */
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0)
  throw error
})

NodeRuntime.runMain(program(process.argv.slice(2)), { disableErrorReporting: true, teardown })
