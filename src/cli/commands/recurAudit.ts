import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { answering } from "../Answer.ts"
import type { LedgerFinding } from "../recurrenceAudit.ts"
import { withRecurrences } from "../recurrences.ts"
import { counted, table } from "../render/table.ts"
import { instant } from "../render/time.ts"

const name = Flag.String("name").pipe(
  Flag.withDescription("Only this recurrence; default all"),
  Flag.withMetavar("name"),
  Flag.optional
)

/** Findings shown one by one; all are counted. */
const shownMax = 50

export const recurAudit = Command.make(
  "audit",
  { name },
  answering(({ name }) =>
    withRecurrences(({ store, tasks }) =>
      Effect.gen(function* () {
        const { RecurrenceAuditFailed, recurrenceFindings } = yield* Effect.promise(
          () => import("../recurrenceAudit.ts")
        )
        const { findings, instants, recurrences } = yield* recurrenceFindings(store, tasks, Option.getOrNull(name))
        const shown: ReadonlyArray<LedgerFinding> = findings.slice(0, shownMax)
        return {
          document: { recurrences, lines: instants, violations: findings.length, findings: shown },
          text: (paint) =>
            [
              `${counted(recurrences, "recurrence")}, ${counted(instants, "line")} of the ledger: ${
                findings.length === 0
                  ? paint.good("none missing, none double")
                  : paint.bad(counted(findings.length, "violation"))
              }`,
              ...(shown.length === 0
                ? []
                : [
                    table(
                      shown,
                      [
                        { title: "LAW", value: ({ law }) => law, paint: paint.bad },
                        { title: "RECURRENCE", value: ({ name }) => name },
                        { title: "INSTANT", value: ({ nominalAt }) => instant(nominalAt) },
                        { title: "FINDING", value: ({ detail }) => detail }
                      ],
                      paint
                    )
                  ])
            ].join("\n"),
          ...(findings.length === 0 ? {} : { failure: new RecurrenceAuditFailed({ violationsCount: findings.length }) })
        }
      })
    )
  )
).pipe(
  Command.withDescription(
    "Prove from the ledger and the rules of all revisions that no instant is missing and none fired twice; exit 1 if not"
  ),
  Command.withExamples([
    { command: "duetime recur audit", description: "All recurrences, as long as their ledgers are kept" }
  ])
)
