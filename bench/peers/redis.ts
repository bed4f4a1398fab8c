import { Data, Effect } from "effect"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as FreePort from "../../src/embedded/FreePort.ts"
import { boundCommandAs, ours } from "../../src/embedded/ServerAccount.ts"
import * as ServerProcess from "../../src/embedded/ServerProcess.ts"

export class RedisFailed extends Data.TaggedError("RedisFailed")<{ readonly message: string }> {}

/** As a careful operator sets it when jobs must survive a crash but may lose the last second of a power cut. */
export const redisSettings = { appendonly: "yes", appendfsync: "everysec", save: "" }

const startTimeoutMs = 10_000
const stopTimeoutMs = 10_000

/** A Redis of this machine's own package, in a temporary folder, on a free port of 127.0.0.1, gone with the scope. */
export const make = Effect.gen(function* () {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "duetime-bench-redis-"))),
    (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
  )
  const port = yield* FreePort.choose([])
  const settings = { ...redisSettings, bind: "127.0.0.1", port: String(port), dir: folder }
  const logFile = join(folder, "server.log")
  const processId = yield* ServerProcess.start({
    name: "Redis",
    command: boundCommandAs(
      ours,
      "redis-server",
      Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]),
      { signal: "SIGTERM" }
    ),
    logFile,
    startTimeoutMs,
    stopTimeoutMs,
    stopSignals: { clean: "SIGTERM", immediate: "SIGKILL" },
    isReady: () => Effect.sync(() => ServerProcess.read(logFile).includes("Ready to accept connections"))
  })
  return { port, processId }
}).pipe(Effect.mapError(({ message }) => new RedisFailed({ message })))
