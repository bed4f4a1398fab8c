import * as Effect from "effect/Effect"

/** Signals that ask a process to stop: the terminal's Ctrl-C, and what everything else sends. */
export const stopSignals = ["SIGINT", "SIGTERM"] as const

/**
 * Waits for a signal and says which. While somebody waits, the signal is theirs: `main.ts` interrupts nothing. A second one
 * ends the process at once, see there.
 */
export const stopSignal: Effect.Effect<string> = Effect.callback<string>((resume) => {
  const heard = (signal: string) => resume(Effect.succeed(signal))
  for (const signal of stopSignals) process.once(signal, heard)
  return Effect.sync(() => {
    for (const signal of stopSignals) process.removeListener(signal, heard)
  })
})
