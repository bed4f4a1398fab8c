import { Clock, Context, Duration, Effect } from "effect"
import { formatUnsafe } from "effect/observability/PrometheusMetrics"
import { observeBacklog } from "../../backlogMetrics.ts"
import { TaskStore } from "../../store/TaskStore.ts"
import type { Parts } from "./health.ts"

/** Between two looks at the backlog, however often and by however many the page is asked for. */
export const backlogEveryMs = 15_000
/** A database that does not answer holds up nobody who looks at the rest. */
const backlogWaitMax = Duration.seconds(2)

/**
 * What `/metrics` answers, in Prometheus' text format. The backlog is looked up by being asked for it: a process that nobody looks at
 * asks the database nothing. While the database is away it stays as it was.
 */
export const makeMetricsPage = (parts: Parts): Effect.Effect<Effect.Effect<string>> =>
  Effect.contextWith((context: Context.Context<never>) => {
    const clock = Context.get(context, Clock.Clock)
    let lookedAtMs = Number.NEGATIVE_INFINITY

    const look = Effect.suspend(() => {
      const nowMs = Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
      if (parts.store === undefined || nowMs - lookedAtMs < backlogEveryMs) return Effect.void
      lookedAtMs = nowMs
      return observeBacklog.pipe(
        Effect.provideService(TaskStore, parts.store),
        Effect.timeoutOption(backlogWaitMax),
        Effect.catch((error) => Effect.logDebug(`the backlog cannot be looked at: ${error.message}`))
      )
    })
    return Effect.succeed(Effect.map(look, () => formatUnsafe(context)))
  })
