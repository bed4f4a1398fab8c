import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Message, type ServedKind } from "./Message.ts"

/** Attempts may take so long to end when a module is replaced; then they are left to be done again. */
const drainMsMax = 60_000

export type Listener = {
  readonly onMessage: (message: Message) => void
  readonly onLine: (line: string) => void
}

export type Application = {
  /** The kinds that it serves, once it does. */
  readonly started: Effect.Effect<ReadonlyArray<ServedKind>>
  /** How it ended: its exit status, or the signal that ended it. */
  readonly ended: Effect.Effect<string>
}

/** Starts the user's module in a process of its own; the scope lets its attempts end and then stops it. */
export const launch = Effect.fnUntraced(function* (module: string, databaseUrl: string, listener: Listener) {
  const started = yield* Deferred.make<ReadonlyArray<ServedKind>>()
  const ended = yield* Deferred.make<string>()
  yield* Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [main, module], {
        env: { ...process.env, DUETIME_DATABASE_URL: databaseUrl, DUETIME_MIGRATE: "true" },
        // Ctrl-C in a terminal is for `duetime dev`, which then stops us while the database still answers.
        detached: true,
        stdio: ["ignore", "pipe", "pipe", "ipc"]
      })
      for (const stream of [child.stdout, child.stderr]) {
        if (stream !== null) createInterface({ input: stream }).on("line", listener.onLine)
      }
      child.on("message", (sent) => {
        const message = decode(sent)
        if (Result.isFailure(message)) return
        listener.onMessage(message.success)
        if (message.success._tag === "Started") Deferred.doneUnsafe(started, Effect.succeed(message.success.kinds))
      })
      child.once("error", (error) => Deferred.doneUnsafe(ended, Effect.succeed(error.message)))
      // After its last line.
      child.once("close", (status, signal) => Deferred.doneUnsafe(ended, Effect.succeed(signal ?? `status ${status}`)))
      return child
    }),
    (child) => stop(child, Deferred.await(ended))
  )
  return { started: Deferred.await(started), ended: Deferred.await(ended) } satisfies Application
})

const stop = (child: ChildProcess, ended: Effect.Effect<string>) =>
  Effect.suspend(() => {
    child.kill("SIGTERM")
    return ended.pipe(
      Effect.timeoutOrElse({
        duration: drainMsMax,
        orElse: () => {
          child.kill("SIGKILL")
          return ended
        }
      })
    )
  })

const decode = Schema.decodeUnknownResult(Message)

/** Beside this file also where the command line is one bundle: the application shares the user's Effect. */
const main = fileURLToPath(
  new URL(import.meta.url.endsWith(".ts") ? "./applicationMain.ts" : "./applicationMain.js", import.meta.url)
)
