import * as Clock from "effect/Clock"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Context from "effect/Context"
import * as Queue from "effect/Queue"
import { Duetime } from "../../Duetime.ts"
import { layerClient, layerVitals } from "../../layers.ts"
import { Vitals } from "../../store/Vitals.ts"
import type { Paint } from "../render/paint.ts"
import type { Ended } from "./Message.ts"
import { attemptText, statusText } from "./render.ts"
import type { Screen } from "./Screen.ts"

/** Attempts shown one by one in a second; the others are counted. */
const linesPerSecondMax = 40
/** Failures whose reasons are still to be read; those beyond are shown without. */
const failuresWaitingMax = 200
/** Attempts that the drift of the status is made of. */
const driftsMax = 1_000
const secondMs = 1_000

export type LiveView = {
  /** An attempt is over. */
  readonly ended: (ended: Ended) => void
}

/** Shows what the application does. The database must have its tables. */
export const make = Effect.fnUntraced(function* (url: string, screen: Screen, paint: Paint, hasStatus: boolean) {
  const clock = yield* Clock.Clock
  const nowMs = () => clock.currentTimeMillisUnsafe()
  const environment = ConfigProvider.fromEnv({ env: { ...process.env, DUETIME_DATABASE_URL: url } })
  const failures = yield* Queue.dropping<Ended>(failuresWaitingMax)
  const driftsMs: Array<number> = []
  let shown = 0
  let hidden = 0
  const show = (text: string) => {
    if (shown++ < linesPerSecondMax) screen.line(text)
    else hidden++
  }

  const tools = yield* Layer.build(Layer.mergeAll(layerClient, layerVitals)).pipe(
    Effect.provideService(ConfigProvider.ConfigProvider, environment)
  )
  const duetime = Context.get(tools, Duetime)
  const vitals = Context.get(tools, Vitals)

  /** Why it failed stands in the history, and not in what the worker says of an attempt. */
  yield* Queue.take(failures).pipe(
    Effect.flatMap((ended) =>
      duetime.get(ended.taskId).pipe(
        Effect.orElseSucceed(() => null),
        Effect.map((view) => show(attemptText(ended, nowMs(), view, paint)))
      )
    ),
    Effect.forever,
    Effect.forkScoped
  )
  yield* Effect.gen(function* () {
    if (hidden > 0) screen.line(paint.quiet(`... and ${hidden.toLocaleString("en-US")} more in this second`))
    shown = 0
    hidden = 0
    if (hasStatus) {
      const kinds = yield* Effect.orElseSucceed(vitals.waiting, () => null)
      if (kinds !== null) screen.status(statusText(kinds, driftsMs, paint))
    }
    yield* Effect.sleep(secondMs)
  }).pipe(Effect.forever, Effect.forkScoped)

  return {
    ended: (ended) => {
      driftsMs.push(ended.driftMs)
      if (driftsMs.length > driftsMax) driftsMs.shift()
      const wantsReason = ended.stage === "pending" || ended.stage === "dead"
      if (!wantsReason || !Queue.offerUnsafe(failures, ended)) show(attemptText(ended, nowMs(), null, paint))
    }
  } satisfies LiveView
})
