import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Violation } from "../../core/audit.ts"
import { type Answer, answering } from "../Answer.ts"
import { AuditFailed } from "../AuditFailed.ts"
import { type Client, withClient } from "../connection.ts"
import type { Paint } from "../render/paint.ts"
import { counted, table } from "../render/table.ts"
import { oneLine } from "../render/text.ts"

/** Streams per page; a page is held in memory. */
const pageSize = 500
/** Violations shown one by one; all are counted. */
const shownMax = 50
/** A line about the progress every so many streams. */
const progressEvery = 50_000

const clockStep = Flag.Int("clock-step-ms").pipe(
  Flag.withDescription("How far the database's clock may have stepped back, in ms; default 0"),
  Flag.withMetavar("ms"),
  Flag.withDefault(0)
)

export const audit = Command.make(
  "audit",
  { clockStepMsMax: clockStep },
  answering((options) => withClient((client) => auditAll(client, options)))
).pipe(
  Command.withDescription("Hold every stored event and projection against the promise; exit 1 if one breaks it"),
  Command.withExamples([{ command: "duetime audit", description: "After a restore, a failover or a suspicion" }])
)

/** The policies of kinds may have changed during a task's life, so what depends on them is not checked here. */
const auditAll = Effect.fnUntraced(function* ({ store }: Client, options: { readonly clockStepMsMax: number }) {
  const { AuditTally } = yield* Effect.promise(() => import("../../core/audit.ts"))
  const tally = new AuditTally(options)
  const shown: Array<Violation> = []
  let after: string | null = null
  while (true) {
    const page: ReadonlyArray<Parameters<typeof tally.check>[0]> = yield* store.streams(after, pageSize)
    for (const stream of page) {
      const violations = tally.check(stream)
      if (shown.length < shownMax) shown.push(...violations.slice(0, shownMax - shown.length))
    }
    if (page.length < pageSize) break
    after = page.at(-1)?.taskId ?? null
    if (tally.streamsCount % progressEvery === 0)
      yield* Console.error(`${counted(tally.streamsCount, "task")} so far ...`)
  }
  const counts = {
    tasksCount: tally.streamsCount,
    eventsCount: tally.eventsCount,
    violationsCount: tally.violationsCount
  }
  return {
    document: { ...counts, violationsByInvariant: Object.fromEntries(tally.violationsByInvariant), violations: shown },
    text: (paint) =>
      [
        ...(shown.length === 0 ? [] : [violationsText(shown, paint)]),
        `${counted(counts.tasksCount, "task")}, ${counted(counts.eventsCount, "event")}, ${
          counts.violationsCount === 0
            ? paint.good("0 violations")
            : paint.bad(counted(counts.violationsCount, "violation"))
        }`
      ].join("\n"),
    ...(counts.violationsCount === 0 ? {} : { failure: new AuditFailed({ violationsCount: counts.violationsCount }) })
  } satisfies Answer<AuditFailed>
})

const violationsText = (violations: ReadonlyArray<Violation>, paint: Paint): string =>
  table(
    violations,
    [
      { title: "RULE", value: ({ invariant }) => invariant, paint: paint.bad },
      { title: "TASK", value: ({ taskId }) => taskId },
      { title: "VERSION", value: ({ version }) => (version === null ? "" : String(version)), align: "right" },
      { title: "FINDING", value: ({ message }) => oneLine(message) }
    ],
    paint
  )
