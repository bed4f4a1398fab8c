import { Effect } from "effect"
import { StoreUnavailable } from "../StoreError.ts"

/** `before`: the request is lost and nothing changes. `after`: the change is made and its answer is lost. */
export type Fault = "before" | "after"

/** One process's connection to the memory database, and everything that can go wrong with it. */
export class MemoryProcess {
  /** No operation ever answers again and no finalizer touches the database, as after SIGKILL. */
  isCrashed = false
  /** Every operation fails before it changes anything. */
  isCutOff = false
  readonly faults: Array<Fault> = []

  /** One operation of the store: synchronous in itself, so nothing comes between its steps. */
  run<A>(operation: string, apply: () => A): Effect.Effect<A, StoreUnavailable> {
    return this.#run(operation, apply, () => this.faults.shift())
  }

  /** A first step whose transaction goes on: a fault is meant for its end. */
  runInTransaction<A>(operation: string, apply: () => A): Effect.Effect<A, StoreUnavailable> {
    return this.#run(operation, apply, () => undefined)
  }

  /** One operation of the session: no fault is meant for it, since nobody can tell when it comes. */
  runInSession<A>(operation: string, apply: () => A): Effect.Effect<A, StoreUnavailable> {
    return this.#run(operation, apply, () => undefined)
  }

  #run<A>(operation: string, apply: () => A, nextFault: () => Fault | undefined): Effect.Effect<A, StoreUnavailable> {
    return Effect.suspend(() => {
      if (this.isCrashed) return Effect.never
      if (this.isCutOff) return Effect.fail(unavailable(operation, false, "the database cannot be reached"))
      const fault = nextFault()
      if (fault === "before") return Effect.fail(unavailable(operation, false, "the request was lost"))
      const answer = apply()
      return fault === "after"
        ? Effect.fail(unavailable(operation, true, "the answer was lost"))
        : Effect.succeed(answer)
    })
  }
}

export const unavailable = (operation: string, commitUnknown: boolean, reason: string): StoreUnavailable =>
  new StoreUnavailable({ operation, commitUnknown, reason })
