import * as Command from "effect/cli/Command"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import type { Vitals } from "../../store/Vitals.ts"
import { Json } from "../Answer.ts"
import { withVitals } from "../connection.ts"
import { noSpan } from "../parameters.ts"
import { paintFor } from "../render/paint.ts"
import { type TopRow, topText } from "../render/top.ts"
import { millisecondsOf } from "../span.ts"
import { usage } from "../usage.ts"

/** Rates and drifts are those of tasks that fell due within it. */
const windowMs = 60_000
const everyMsMin = 500

const every = Flag.String("every").pipe(
  Flag.withDescription("Look again after this span, at least 500ms; default 2s"),
  Flag.withMetavar("span"),
  Flag.filterMap(millisecondsOf, noSpan),
  Flag.withDefault(2_000)
)

export const top = Command.make("top", { every }, ({ every }) =>
  Effect.gen(function* () {
    const { canAnimate, canColor } = yield* TerminalCapabilities
    const isOneSample = yield* Json
    if (!isOneSample && !canAnimate) {
      return yield* usage("duetime top needs a terminal; --json gives one sample anywhere.")
    }
    yield* withVitals((vitals) =>
      Effect.gen(function* () {
        if (isOneSample) return yield* Console.log(JSON.stringify(yield* sample(vitals), null, 2))
        yield* Console.log(clear)
        while (true) {
          const lines = topText(yield* sample(vitals), paintFor(canColor)).split("\n")
          yield* Console.log(`${home}${lines.map((line) => `${line}${eraseRest}`).join("\n")}${eraseBelow}`)
          yield* Effect.sleep(every)
        }
      })
    )
  })
).pipe(
  Command.validate(({ every }) => (every >= everyMsMin ? Effect.void : usage("--every is 500ms or more."))),
  Command.withDescription("Watch what waits, runs and dies, and how late it starts; until interrupted"),
  Command.withExamples([{ command: "duetime top", description: "While something is going on" }])
)

const clear = "\u001B[2J"
const home = "\u001B[H"
const eraseRest = "\u001B[K"
const eraseBelow = "\u001B[J"

const sample = Effect.fnUntraced(function* (vitals: Vitals["Service"]) {
  const kinds = yield* vitals.waiting
  const { rows: drifts } = yield* vitals.drift({ lastMs: windowMs })
  const rows = kinds.map((kind): TopRow => {
    const own = drifts.filter((row) => row.kind === kind.kind)
    const attempts = own.reduce((sum, { attemptsCount }) => sum + attemptsCount, 0)
    return {
      ...kind,
      startsPerSecond: attempts / (windowMs / 1_000),
      // Of the worst priority: percentiles of several cannot be put together.
      driftP50Ms: own.length === 0 ? null : Math.max(...own.map(({ drift }) => drift.p50)),
      driftP99Ms: own.length === 0 ? null : Math.max(...own.map(({ drift }) => drift.p99))
    }
  })
  return { at: new Date(yield* Clock.currentTimeMillis), windowMs, kinds: rows }
})
