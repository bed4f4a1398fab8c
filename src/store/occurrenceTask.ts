import { openJitteredDueAtMs } from "../core/calendar/Due.ts"
import type { KindPolicy } from "../core/KindPolicy.ts"
import type { Decided } from "../core/recurrence/fates.ts"
import { occurrenceTaskId } from "../core/recurrence/occurrence.ts"
import type { EventId } from "../core/TaskId.ts"
import type { RecurrenceDefinition } from "./RecurrenceStore.ts"
import type { NewTask } from "./TaskStore.ts"

/** The task of an instant that fires; none for what does not. */
export const occurrenceTask = (
  recurrence: RecurrenceDefinition & { readonly recurrenceId: number },
  revision: number,
  { dueAtMs, nominalAtMs }: Decided,
  policy: KindPolicy,
  eventId: () => EventId
): ReadonlyArray<NewTask> => {
  if (dueAtMs === null) return []
  const taskId = occurrenceTaskId(recurrence.recurrenceId, revision, nominalAtMs)
  return [
    {
      taskId,
      eventId: eventId(),
      kind: recurrence.kind,
      priority: recurrence.priority ?? policy.priority,
      dueAtMs: openJitteredDueAtMs(dueAtMs, taskId, policy.dueJitter, recurrence.rule.open?.calendar ?? null),
      key: null,
      payload: recurrence.payload,
      ...recurrence.followUps
    }
  ]
}
