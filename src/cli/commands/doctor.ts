import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as References from "effect/References"
import { type Answer, answering } from "../Answer.ts"
import { withVitals } from "../connection.ts"
import { DoctorFound } from "../doctor/DoctorFound.ts"
import { noSpan, wholeNumber } from "../parameters.ts"
import { findingsText } from "../render/findings.ts"
import { millisecondsOf } from "../span.ts"

const tasks = Flag.String("tasks").pipe(
  Flag.withDescription("Also see whether the handlers of this module can read every pending payload"),
  Flag.withMetavar("module"),
  Flag.optional
)
const daysAhead = wholeNumber("days-ahead", 1, 365).pipe(
  Flag.withDescription("A partition that is missing within so many days is a problem, 1 to 365; default 7"),
  Flag.withMetavar("days"),
  Flag.withDefault(7)
)
const snapshotAge = Flag.String("snapshot-age").pipe(
  Flag.withDescription("A transaction that is open for longer is a problem; default 5m"),
  Flag.withMetavar("span"),
  Flag.filterMap(millisecondsOf, noSpan),
  Flag.withDefault(300_000)
)

export const doctor = Command.make(
  "doctor",
  { tasks, daysAhead, snapshotAge },
  answering(({ daysAhead, snapshotAge, tasks }) =>
    withVitals((vitals) =>
      Effect.gen(function* () {
        const { examine } = yield* Effect.promise(() => import("../doctor/examine.ts"))
        const options = { tasks: Option.getOrUndefined(tasks), daysAhead, snapshotAgeMs: snapshotAge }
        // What is told of the clock stands in the findings.
        const examination = yield* Effect.provideService(
          examine(vitals, options),
          References.MinimumLogLevel,
          "Error" as const
        )
        const problemsCount = examination.findings.filter(({ severity }) => severity === "problem").length
        return {
          document: { ...examination, problemsCount },
          rows: examination.findings,
          text: (paint) => findingsText(examination, paint),
          ...(problemsCount === 0 ? {} : { failure: new DoctorFound({ problemsCount }) })
        } satisfies Answer<DoctorFound>
      })
    )
  )
).pipe(
  Command.withDescription(
    "Say in plain words what is wrong with the system, and the command that mends it; exit 1 while there are problems"
  ),
  Command.withExamples([
    { command: "duetime doctor", description: "When something feels slow, late or stuck" },
    { command: "duetime doctor --tasks email.ts", description: "Before a deploy: can the new code read what waits?" }
  ])
)
