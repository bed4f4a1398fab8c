import { Config, Context, Duration, Layer, Schema } from "effect"
import { batchSizeMax } from "../store/TaskStore.ts"

export type EngineConfig = {
  /**
   * How far ahead of its due time a task is claimed and armed. It must outlast a slow claim (a failover, a checkpoint) and
   * stay well below the lease (5 s); what is armed can still be cancelled and rescheduled. Default 1.5 s.
   */
  readonly lookAheadMs: number
  /**
   * Longest pause between two claims: the most that a task due at once waits unseen if nobody told of it. A queue that has been
   * empty for eight such pauses is polled at every fourth, until something is found or told of. Default 250 ms.
   */
  readonly idlePollMs: number
  /**
   * Tasks of one queue an engine may hold claimed and not started: at least this many, whatever the rate. Small, because
   * whatever is claimed here no other engine can give to a free worker. Default 100.
   */
  readonly windowTasksMin: number
  /** And at most this many: a tenth of a second of work at 20,000 starts/s, the most two cores have shown. Default 2,000. */
  readonly windowTasksMax: number
  /** Critical tasks of one queue that may be held above a full window. Default 50. */
  readonly criticalTasksMax: number
  /** Tasks per claim statement; beyond some hundred a larger batch gains little and holds its locks longer. Default 500. */
  readonly claimBatchSizeMax: number
  /** How long a stopping engine may take to give its claims back. What it fails to is free when its lease ends. Default 5 s. */
  readonly drainMsMax: number
}

export const defaults: EngineConfig = {
  lookAheadMs: 1_500,
  idlePollMs: 250,
  windowTasksMin: 100,
  windowTasksMax: 2_000,
  criticalTasksMax: 50,
  claimBatchSizeMax: 500,
  drainMsMax: 5_000
}

export const EngineConfig = Context.Reference<EngineConfig>("duetime/engine/EngineConfig", {
  defaultValue: () => defaults
})

const milliseconds = (key: string, defaultMs: number, bounds: { readonly minimum: number; readonly maximum: number }) =>
  Config.schema(
    Schema.DurationFromString.check(
      Schema.makeFilter((duration: Duration.Duration) => {
        const ms = Duration.toMillis(duration)
        return (
          (ms >= bounds.minimum && ms <= bounds.maximum) ||
          `${key} must lie between ${bounds.minimum} and ${bounds.maximum} ms`
        )
      })
    ),
    key
  ).pipe(Config.map(Duration.toMillis), Config.withDefault(defaultMs))

const tasks = (key: string, defaultCount: number, bounds: { readonly minimum: number; readonly maximum: number }) =>
  Config.schema(Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween(bounds)), key).pipe(
    Config.withDefault(defaultCount)
  )

/** Largest count that is accepted for a window or allowance; the wheel holds 50,000. */
const countMax = 100_000

const windowTasks = tasks("DUETIME_WINDOW_TASKS_MIN", defaults.windowTasksMin, { minimum: 1, maximum: countMax }).pipe(
  Config.flatMap((windowTasksMin) =>
    tasks("DUETIME_WINDOW_TASKS_MAX", Math.max(windowTasksMin, defaults.windowTasksMax), {
      minimum: windowTasksMin,
      maximum: countMax
    }).pipe(Config.map((windowTasksMax) => ({ windowTasksMin, windowTasksMax })))
  )
)

/** Read from the environment; durations are written "250 millis" or "2 seconds". */
export const config: Config.Config<EngineConfig> = Config.all({
  windowTasks,
  // Above 4 s a claim would outlive the default lease before its task is due.
  lookAheadMs: milliseconds("DUETIME_LOOK_AHEAD", defaults.lookAheadMs, { minimum: 0, maximum: 4_000 }),
  idlePollMs: milliseconds("DUETIME_IDLE_POLL", defaults.idlePollMs, { minimum: 5, maximum: 60_000 }),
  criticalTasksMax: tasks("DUETIME_CRITICAL_TASKS_MAX", defaults.criticalTasksMax, { minimum: 1, maximum: countMax }),
  claimBatchSizeMax: tasks("DUETIME_CLAIM_BATCH_SIZE_MAX", defaults.claimBatchSizeMax, {
    minimum: 1,
    maximum: batchSizeMax
  }),
  drainMsMax: milliseconds("DUETIME_DRAIN_LIMIT", defaults.drainMsMax, { minimum: 0, maximum: 600_000 })
}).pipe(Config.map(({ windowTasks, ...others }) => ({ ...windowTasks, ...others })))

export const layerFromEnv = Layer.effect(EngineConfig, config)
