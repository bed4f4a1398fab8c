/** What outlives the nodes of a history: what handlers wrote into the application's tables, and what the outside did for them. */
import { Effect, References } from "effect"
import type { StoreUnavailable } from "../../store/StoreError.ts"

/** Who wrote a row or made a call. */
export type By = {
  /** Null: not a handler of a task, but a service below it. */
  readonly taskId: string | null
  readonly attempt: number | null
  readonly node: string
  /** Ms since the history began. */
  readonly atMs: number
}

/** A line of a timeline. */
export type Deed = By & { readonly text: string }

/** The application's database of one history, and what the outside has seen: no crash of a node takes any of it away. */
export class Kept {
  readonly deeds: Array<Deed> = []
  /** Attempts whose transaction has committed rows, by `task attempt`, with how often. */
  readonly commits = new Map<string, number>()
}

/** How a handler's call reaches what is kept. */
export type Reach = {
  readonly kept: Kept
  readonly nowMs: () => number
  /** Into the trace. */
  readonly note: (text: string) => void
  readonly node: string
  /** In one step there, with a way to and fro that faults may cut. */
  readonly call: <A>(apply: () => A) => Effect.Effect<A, StoreUnavailable>
}

/** The worker annotates the logs of every attempt with these. */
export const attemptOfFiber = Effect.map(References.CurrentLogAnnotations, ({ attempt, taskId }) => ({
  taskId: typeof taskId === "string" ? taskId : null,
  attempt: typeof attempt === "number" ? attempt : null
}))
