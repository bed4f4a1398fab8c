export * as Task from "./Task.ts"
export * as RetryPolicy from "./RetryPolicy.ts"
export { Duetime, PayloadBytesMax } from "./Duetime.ts"
export type {
  ActError,
  AwaitEndOptions,
  EntryReceipt,
  LookUpError,
  Receipt,
  ScheduleError,
  TaskEntry,
  UntypedTask
} from "./Duetime.ts"
export type { TaskEnd } from "./TaskEnd.ts"
export type { Find, Found } from "./FindOptions.ts"
export type { Following, FollowOptions, FollowUp } from "./FollowUp.ts"
export type { Calendar, Hours } from "./core/calendar/Calendar.ts"
export type { BusinessDays } from "./CalendarOptions.ts"
export type { Expiry, ExpiringKey, ScheduleOptions, When } from "./ScheduleOptions.ts"
export { DeadLetters } from "./DeadLetters.ts"
export type { BulkDone, DeadGroupView, DeadLettersFilter, Ramp, RampEnd } from "./DeadLetters.ts"
export { Recurrences, type RulePreview } from "./Recurrences.ts"
export type { Misfire, Openings, RecurrenceOptions, Recurs } from "./RecurrenceOptions.ts"
export type { FateView, LineView, RecurrenceView } from "./RecurrenceView.ts"
export type { TaskSummary, TaskView } from "./TaskView.ts"
export * from "./DuetimeError.ts"
export * as DuetimeMetrics from "./DuetimeMetrics.ts"
export { observeBacklog } from "./backlogMetrics.ts"

export type { Priority } from "./core/Priority.ts"
export type { AttemptError, EventTag, Json, TaskEvent } from "./core/TaskEvent.ts"
export type { TaskId } from "./core/TaskId.ts"
export type { Stage, Status } from "./core/TaskState.ts"

export { type Ground, layerClient, layerDev, layerFromEnv, layerKafka, layerMemory, layerPostgres } from "./layers.ts"
export { Engine } from "./engine/Engine.ts"
export { Worker, type WorkerOptions } from "./worker/Worker.ts"
export { AttemptObserver } from "./worker/AttemptObserver.ts"
export { Handlers } from "./worker/Handlers.ts"
export type { Answer, AsyncAttempt, AsyncInterrupted, AsyncSql, Attempt, Interrupted } from "./worker/Handlers.ts"
