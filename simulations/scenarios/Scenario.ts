/** One canonical life of a task in the simulated world, small and always the same: what every leg of is broken once. */
import type { EventTag } from "../../src/core/TaskEvent.ts"
import type { Stage } from "../../src/core/TaskState.ts"
import type { History } from "../world/History.ts"

export type Scenario = {
  readonly name: string
  readonly what: string
  readonly history: History
  /** Events of the first task that the undisturbed run has, in this order, others between them. */
  readonly shows: ReadonlyArray<EventTag>
  /** Where the first task ends, whoever has died on the way. */
  readonly endsAs: ReadonlyArray<Stage>
  /** Crashed at every pair of legs, too: for the shortest. */
  readonly isPaired?: boolean
}
