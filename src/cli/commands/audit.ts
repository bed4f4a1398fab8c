import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import type { Violation } from "../../core/audit.ts"
import type { AnnouncedPolicy, Projections } from "../../store/Projections.ts"
import { type Answer, answering } from "../Answer.ts"
import { AuditFailed } from "../AuditFailed.ts"
import { withProjections } from "../connection.ts"
import { eachPage } from "../eachPage.ts"
import { linkFindings } from "../linkFindings.ts"
import { counted } from "../render/table.ts"
import { shownMax, violationsText } from "../violationsText.ts"

const clockStep = Flag.Int("clock-step-ms").pipe(
  Flag.withDescription("How far the database's clock may have stepped back, in ms; default 0"),
  Flag.withMetavar("ms"),
  Flag.withDefault(0)
)
const policies = Flag.Boolean("policies").pipe(
  Flag.withDescription(
    "Hold tasks born since their kind's policy last changed against that policy, too; not while workers of an older release run"
  ),
  Flag.withDefault(false),
  Flag.withoutNegation
)

export const audit = Command.make(
  "audit",
  { clockStepMsMax: clockStep, policies },
  answering((options) => withProjections((projections) => auditAll(projections, options)))
).pipe(
  Command.withDescription("Hold every stored event and projection against the promise; exit 1 if one breaks it"),
  Command.withExamples([{ command: "duetime audit", description: "After a restore, a failover or a suspicion" }])
)

type Options = { readonly clockStepMsMax: number; readonly policies: boolean }

/** Along the streams, then along the rows for those that no stream leads to, then what only all streams together can show. */
const auditAll = Effect.fnUntraced(function* (projections: Projections["Service"], options: Options) {
  const { auditAcross, auditKey, auditRow, AuditTally } = yield* Effect.promise(() => import("../../core/audit.ts"))
  const announced = options.policies ? yield* projections.policies : new Map<string, AnnouncedPolicy>()
  const tally = new AuditTally({
    clockStepMsMax: options.clockStepMsMax,
    // A policy is only known since it was announced, and never what delay a handler has asked for.
    policyOf: (kind, bornAtMs) => {
      const found = announced.get(kind)
      return found !== undefined && found.sinceMs <= bornAtMs ? found.policy : undefined
    },
    ownDelays: true
  })
  const shown: Array<Violation> = []
  const show = (violations: ReadonlyArray<Violation>) => {
    if (shown.length < shownMax) shown.push(...violations.slice(0, shownMax - shown.length))
  }
  const add = (violations: ReadonlyArray<Violation>) => {
    tally.add(violations)
    show(violations)
  }
  const tasksCount = yield* eachPage("task", projections.streams, (streams) =>
    Effect.suspend(() => {
      for (const stream of streams) show(tally.check(stream))
      return Effect.map(linkFindings(projections, streams), add)
    })
  )
  const rowsCount = yield* eachPage("row", projections.rows, (rows) =>
    Effect.sync(() => {
      for (const row of rows) add(auditRow(row))
    })
  )
  add(auditAcross(yield* projections.twins))
  add((yield* projections.keyFaults).map(auditKey))

  const { eventsCount, violationsCount } = tally
  return {
    document: {
      tasksCount,
      eventsCount,
      rowsCount,
      violationsCount,
      violationsByInvariant: Object.fromEntries(tally.violationsByInvariant),
      violations: shown
    },
    text: (paint) =>
      [
        ...(shown.length === 0 ? [] : [violationsText(shown, paint)]),
        `${counted(tasksCount, "task")}, ${counted(eventsCount, "event")}, ${counted(rowsCount, "row")}, ${
          violationsCount === 0 ? paint.good("0 violations") : paint.bad(counted(violationsCount, "violation"))
        }`
      ].join("\n"),
    ...(violationsCount === 0 ? {} : { failure: new AuditFailed({ violationsCount }) })
  } satisfies Answer<AuditFailed>
})
