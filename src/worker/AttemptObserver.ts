import { Context } from "effect"
import type { Stage } from "../core/TaskState.ts"
import type { Started } from "../store/TaskStore.ts"

/**
 * Watches attempts from inside the worker: for metrics, the benchmark and the demo. The callbacks are synchronous,
 * run once per attempt on its hot path, and must neither block nor throw (a throw is logged and ignored).
 */
export const AttemptObserver = Context.Reference<{
  /** The handler is called now. `beganAtMs` is this process's clock; the drift is `started.startedAtMs - started.dueAtMs`. */
  readonly started: (started: Started, beganAtMs: number) => void
  /** The outcome is recorded and the task stands at `stage`; "lost" if somebody else had moved the task. */
  readonly ended: (started: Started, stage: Stage | "lost") => void
}>("duetime/worker/AttemptObserver", { defaultValue: () => ({ started: () => {}, ended: () => {} }) })

export type AttemptObserverShape = typeof AttemptObserver.Service
