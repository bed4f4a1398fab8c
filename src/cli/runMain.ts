import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { stopSignals } from "./role/stopSignal.ts"

/** npm passes on what the terminal has sent to all: two signals within this time are one. */
const sameSignalMs = 500
const interruptedExitCode = 130

/**
 * The first signal interrupts the command, unless it waits for one to stop in order (`stopSignal.ts`); the second ends the
 * process at once.
 */
export const runMain = Runtime.makeRunMain(({ fiber, teardown }) => {
  let signals = 0
  const stop = (signal: string) => {
    signals++
    if (signals === 1 && process.listenerCount(signal) === 1) fiber.interruptUnsafe(fiber.id)
    if (signals === 1) Effect.runFork(Effect.andThen(Effect.sleep(sameSignalMs), Effect.sync(endAtOnce)))
  }
  const endAtOnce = () => {
    for (const signal of stopSignals) process.on(signal, () => process.exit(interruptedExitCode))
  }
  for (const signal of stopSignals) process.on(signal, stop)
  fiber.addObserver((exit) => {
    teardown(exit, (code) => {
      if (signals > 0 || code !== 0) process.exit(code)
    })
    for (const signal of stopSignals) process.removeListener(signal, stop)
  })
})
