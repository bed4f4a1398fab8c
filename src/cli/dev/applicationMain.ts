/**
 * The process of `duetime dev` that runs engine, worker and the user's handlers, as `duetime run` does. A changed module needs a new
 * process: what it has imported is otherwise kept as it was. It never outlives the one that started it.
 */
import { Clock, Effect, Layer, Logger, Option, References } from "effect"
import { registerHooks } from "node:module"
import { fileURLToPath } from "node:url"
import { AttemptObserver } from "../../index.ts"
import { report, teardown } from "../failure.ts"
import { serveRole } from "../role/role.ts"
import { runMain } from "../runMain.ts"
import type { Message } from "./Message.ts"

const orphanedExitCode = 130
process.once("disconnect", () => process.exit(orphanedExitCode))

const tell = (message: Message) => process.send?.(message)

registerHooks({
  load: (url, context, nextLoad) => {
    if (url.startsWith("file:") && !url.includes("/node_modules/")) {
      tell({ _tag: "Loaded", file: fileURLToPath(url.replace(/[?#].*$/, "")) })
    }
    return nextLoad(url, context)
  }
})

const observer = Effect.map(Clock.Clock, (clock): typeof AttemptObserver.Service => {
  const nowMs = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000n) / 1_000
  const beganAtMs = new WeakMap<object, number>()
  return {
    started: (started) => void beganAtMs.set(started, nowMs()),
    ended: (started, stage) => {
      const { attempt, dueAtMs, kind, startedAtMs, taskId } = started
      const now = nowMs()
      const tookMs = now - (beganAtMs.get(started) ?? now)
      tell({ _tag: "Ended", taskId, kind, attempt, stage, driftMs: startedAtMs - dueAtMs, tookMs })
    }
  }
})

const application = Effect.gen(function* () {
  yield* serveRole({
    role: "run",
    tasks: process.argv[2],
    concurrency: undefined,
    healthPort: Option.none(),
    healthHost: Option.none(),
    onStarted: (handlers) =>
      tell({
        _tag: "Started",
        kinds: handlers.map(({ policy, unfitness }) => ({ name: policy.kind, takesNothing: unfitness({}) === null }))
      })
  }).pipe(Effect.provideService(AttemptObserver, yield* observer))
})

runMain(
  application.pipe(
    Effect.tapCause(report),
    Effect.provide(
      Layer.mergeAll(
        Layer.succeed(Logger.LogToStderr, true),
        Layer.succeed(References.MinimumLogLevel, "Info"),
        Logger.layer([Logger.consolePretty()])
      )
    )
  ),
  { disableErrorReporting: true, teardown }
)
