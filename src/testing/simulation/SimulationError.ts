/** How a simulation fails. */
import { Data } from "effect"
import type { Violation } from "./judge.ts"

/** A history broke an invariant. The message has its seed, what is left of its faults, timelines, and how to see it again. */
export class SimulationFailed extends Data.TaggedError("SimulationFailed")<{
  readonly seed: number
  /** Of the shrunk history. */
  readonly violations: ReadonlyArray<Violation>
  /** What is left of it, for the option `only`. */
  readonly only: Only
  readonly text: string
}> {
  override get message(): string {
    return `SimulationFailed: ${this.text}`
  }
}

/** Indices into the workload and the faults of a history. */
export type Only = { readonly tasks: ReadonlyArray<number>; readonly faults: ReadonlyArray<number> }

/** A handler waits for something that the simulation does not have: a promise, a real timer, a socket, a file. */
export class HandlerLeft extends Data.TaggedError("HandlerLeft")<{
  readonly seed: number
  readonly kind: string
  readonly what: "handler" | "reconcile"
  readonly taskId: string
  readonly attempt: number
  /** Since the history began. */
  readonly atMs: number
}> {
  override get message(): string {
    const { atMs, attempt, kind, seed, taskId, what } = this
    return (
      `HandlerLeft: the ${what} of kind "${kind}" (task ${taskId}, attempt ${attempt}, seed ${seed}, at ${Math.round(atMs)} ms) waits for something ` +
      "that nothing in the simulation will bring: a promise (handleAsync, Effect.promise, Effect.tryPromise), a real timer, a socket, a file, " +
      "or an effect that never ends. Simulated handlers are Effects made by kind.handle, and call what is outside through services whose " +
      "simulated layers use Outside.service, Ledger.table and Effect.sleep."
    )
  }
}

/** No history broke anything, and yet it shows nothing. */
export class SimulationVoid extends Data.TaggedError("SimulationVoid")<{ readonly reason: string }> {
  override get message(): string {
    return `SimulationVoid: ${this.reason}`
  }
}
