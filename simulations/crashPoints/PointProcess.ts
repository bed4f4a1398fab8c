/** One process of the points, from its start to its end. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { Order } from "./order.ts"
import { skewMs, type Deed } from "./points.ts"

export type Ended = { readonly code: number | null; readonly signal: NodeJS.Signals | null }

export type PointProcess = {
  readonly processId: number
  readonly ready: Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
  /** SIGTERM, and in the end SIGKILL. */
  readonly stop: Effect.Effect<Ended>
  readonly kill: Effect.Effect<Ended>
}

export type Surroundings = {
  readonly env: Readonly<Record<string, string>>
  /** Everything that the processes say. */
  readonly log: string
  readonly hitsFile: string
}

/** Above the 20 s that a worker gives its attempts, and the 6 s after them. */
const stopTimeoutMs = 30_000

const file = (name: string) => path.join(import.meta.dirname, name)
const endWithHarness = file("../chaos/endWithHarness.ts")
const shiftedClock = file("../chaos/shiftedClock.ts")

export const startProcess = (
  order: Order,
  { env, hitsFile, log }: Surroundings
): Effect.Effect<PointProcess, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const armed = order.arming?.points[0]
      const output = fs.openSync(log, "a")
      const child = fork(file("processMain.ts"), [JSON.stringify(order)], {
        execArgv: importsOf(armed).flatMap((name) => ["--import", name]),
        env: {
          ...process.env,
          ...env,
          ...(armed?.deed === "skew" ? { CHAOS_CLOCK_OFFSET_MS: String(skewMs) } : {}),
          ...(armed?.place === "renewal sent"
            ? {
                POINTS_RENEWAL_POINT: armed.point,
                POINTS_HITS_FILE: hitsFile,
                POINTS_RENEWALS_SKIPPED: String(renewalsSkipped + armed.skip)
              }
            : {})
        },
        // A session of its own: a terminal's Ctrl-C reaches the harness, which then stops them in order.
        detached: true,
        stdio: ["ignore", output, output, "ipc"]
      })
      fs.closeSync(output)
      return handleOf(child)
    }),
    ({ kill }) => kill
  )

/** A process claims something meanwhile: four renewals in a lease. */
const renewalsSkipped = 4

const importsOf = (armed: { readonly place: string; readonly deed: Deed } | undefined): ReadonlyArray<string> => [
  endWithHarness,
  ...(armed?.deed === "skew" ? [shiftedClock] : []),
  ...(armed?.place === "renewal sent" ? [file("renewalPoint.ts")] : [])
]

const handleOf = (child: ChildProcess): PointProcess => {
  const endedNow = (): Ended | null =>
    child.exitCode === null && child.signalCode === null ? null : { code: child.exitCode, signal: child.signalCode }
  let isReady = false
  child.once("message", () => (isReady = true))
  const ended = Effect.callback<Ended>((resume) => {
    const now = endedNow()
    if (now !== null) return resume(Effect.succeed(now))
    const heard = (code: number | null, signal: NodeJS.Signals | null) => resume(Effect.succeed({ code, signal }))
    child.once("exit", heard)
    return Effect.sync(() => child.off("exit", heard))
  })
  const signalled = (signal: NodeJS.Signals) =>
    Effect.suspend(() => {
      child.kill(signal)
      // Nothing is delivered to who is frozen, but SIGKILL.
      if (signal === "SIGTERM") child.kill("SIGCONT")
      return ended
    })
  const kill = signalled("SIGKILL")
  return {
    processId: child.pid ?? 0,
    ready: Effect.callback<void>((resume) => {
      if (isReady || endedNow() !== null) return resume(Effect.void)
      child.once("message", () => resume(Effect.void))
      child.once("exit", () => resume(Effect.void))
    }),
    ended,
    stop: signalled("SIGTERM").pipe(Effect.timeoutOrElse({ duration: stopTimeoutMs, orElse: () => kill })),
    kill
  }
}
