import type { TaskState } from "../core/TaskState.ts"

/** It waits, and no attempt of it has ever begun: taking it back undoes it. */
export const isUnstarted = ({ attempt, stage }: TaskState): boolean =>
  attempt === 0 && (stage === "pending" || stage === "claimed")
