/**
 * A server in a process of its own, on a free loopback port, that cannot outlive the demo: it ends when the channel to
 * its parent closes, which the kernel does even for a parent that was killed, and at the latest after an hour.
 * It ignores Ctrl-C, which a terminal sends to all: the demo still needs it while it drains.
 */
import { Effect } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import type { AddressInfo, Server } from "node:net"
import * as path from "node:path"

const lifetimeMsMax = 3_600_000
const startTimeoutMs = 10_000
const stopTimeoutMs = 2_000

/** The parent's side: starts a program of this folder, and gives its port. The scope stops it. */
export const startChild = Effect.fnUntraced(function* (program: string, args: ReadonlyArray<string>) {
  const child = yield* Effect.acquireRelease(
    Effect.sync(() => fork(path.join(import.meta.dirname, program), args, { stdio: ["ignore", 2, 2, "ipc"] })),
    stop
  )
  return yield* portOf(program, child).pipe(
    Effect.timeoutOrElse({
      duration: startTimeoutMs,
      orElse: () => Effect.fail(new Error(`${program} did not listen within ${startTimeoutMs} ms`))
    })
  )
})

/** The child's side: tells the parent the port once the server listens, and ends with the parent. */
export const serveParent = (server: Server): void => {
  const end = () => process.exit(0)
  process.on("SIGINT", () => {})
  process.on("disconnect", end)
  setTimeout(end, lifetimeMsMax).unref()
  server.listen(0, "127.0.0.1", () => process.send?.({ port: (server.address() as AddressInfo).port }))
}

const portOf = (program: string, child: ChildProcess) =>
  Effect.callback<number, Error>((resume) => {
    child.once("message", ({ port }: { readonly port: number }) => resume(Effect.succeed(port)))
    child.once("exit", (code) => resume(Effect.fail(new Error(`${program} ended at once with ${code}`))))
  })

const stop = (child: ChildProcess) =>
  Effect.callback<void>((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
    child.disconnect()
  }).pipe(Effect.timeoutOption(stopTimeoutMs), Effect.andThen(Effect.sync(() => child.kill("SIGKILL"))))
