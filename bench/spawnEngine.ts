import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { Effect, Schema } from "effect"
import { Task } from "../src/index.ts"

/** A kind that engines in processes of their own serve: the handler says that it was called, and takes its time. */
export const countedKind = (kind: string) => Task.define(kind, { payload: { workMs: Schema.Finite } })

/** The one that they serve unless others are named. */
export const counted = countedKind("bench.engines")

/** Attempts at the same time in each of them. */
export const concurrencyPerWorker = 200

export type EngineProcess = {
  readonly processId: number
  /** In order. */
  readonly stop: Effect.Effect<void>
  /** SIGKILL; comes back when the process is gone. */
  readonly kill: Effect.Effect<void>
  readonly calls: () => number
  /** What is left in use after a garbage collection. */
  readonly heapMiB: Effect.Effect<number>
}

/** What a process answers SIGUSR2 with, before the MiB. */
export const heapLine = "heap "

const stopMsMax = 20_000

/**
 * Engines with a worker each in a process of their own, until the scope closes.
 *
 * @param onCall told the task's id and the attempt
 * @param workers the kinds that each of them serves
 */
export const spawnEngine = (
  url: string,
  onCall: (call: string) => void,
  workers: ReadonlyArray<ReadonlyArray<string>> = [[counted.kind]]
) =>
  Effect.acquireRelease(
    Effect.callback<EngineProcess, Error>((resume) => {
      const program = new URL("./engineProcess.ts", import.meta.url).pathname
      const child = spawn(process.execPath, ["--expose-gc", program, ...workers.map((kinds) => kinds.join(","))], {
        env: { ...process.env, DUETIME_DATABASE_URL: url, DUETIME_MIGRATE: "true" },
        stdio: ["ignore", "pipe", "inherit"]
      })
      const end = (signal: "SIGTERM" | "SIGKILL") =>
        Effect.callback<void>((ended) => {
          if (child.exitCode !== null || child.signalCode !== null) return ended(Effect.void)
          child.once("exit", () => ended(Effect.void))
          child.kill(signal)
        })
      const kill = end("SIGKILL")
      const stop = end("SIGTERM").pipe(Effect.timeoutOrElse({ duration: stopMsMax, orElse: () => kill }))
      let calls = 0
      let onHeap = (_mib: number) => {}
      const heapMiB = Effect.callback<number>((told) => {
        onHeap = (mib) => told(Effect.succeed(mib))
        child.kill("SIGUSR2")
      })
      createInterface({ input: child.stdout }).on("line", (line) => {
        if (line === "ready")
          return resume(Effect.succeed({ processId: child.pid ?? 0, stop, kill, calls: () => calls, heapMiB }))
        if (line.startsWith(heapLine)) return onHeap(Number(line.slice(heapLine.length)))
        calls++
        onCall(line)
      })
      child.once("exit", (code) => resume(Effect.fail(new Error(`an engine exited with ${code} before it was ready`))))
      return kill
    }),
    ({ stop }) => stop
  )
