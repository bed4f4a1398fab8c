import * as Argument from "effect/cli/Argument"
import * as Effect from "effect/Effect"
import type { Rule } from "../core/recurrence/Rule.ts"
import type { Recurrences } from "../Recurrences.ts"
import type { RecurrenceView } from "../RecurrenceView.ts"
import type { RecurrenceStore } from "../store/RecurrenceStore.ts"
import type { TaskStore } from "../store/TaskStore.ts"
import { answering } from "./Answer.ts"
import type { Paint } from "./render/paint.ts"
import { instant, span } from "./render/time.ts"

/** What the commands below `recur` have in common. */
export const recurrenceName = Argument.String("name").pipe(Argument.withDescription("Name of the recurrence"))

export type RecurrenceClient = {
  readonly recurrences: Recurrences["Service"]
  /** What only tools ask: ledgers and revisions. */
  readonly store: RecurrenceStore["Service"]
  readonly tasks: TaskStore["Service"]
}

/** As `withClient`: the driver is loaded here and not before. */
export const withRecurrences = Effect.fnUntraced(function* <A, E, R>(
  use: (client: RecurrenceClient) => Effect.Effect<A, E, R>
) {
  const [{ layerClient }, { Recurrences }, { RecurrenceStore }, { TaskStore }] = yield* Effect.promise(() =>
    Promise.all([
      import("../layers.ts"),
      import("../Recurrences.ts"),
      import("../store/RecurrenceStore.ts"),
      import("../store/TaskStore.ts")
    ])
  )
  const used = Effect.gen(function* () {
    return yield* use({ recurrences: yield* Recurrences, store: yield* RecurrenceStore, tasks: yield* TaskStore })
  })
  return yield* Effect.provide(used, layerClient)
})

/** The handler of a command that changes one recurrence and tells how it stands afterwards. */
export const changing = <E>(
  change: (recurrences: Recurrences["Service"], name: string) => Effect.Effect<RecurrenceView, E>
) =>
  answering(({ name }: { readonly name: string }) =>
    withRecurrences(({ recurrences }) =>
      Effect.map(change(recurrences, name), (view) => ({
        document: view,
        text: (paint) => `${view.name}  ${standText(view, paint)}`
      }))
    )
  )

/** `0 9 * * * Europe/Berlin`, or `every 1 h`; with a calendar `0 10 1 * * Europe/Berlin, next open day`. */
export const ruleText = (rule: Rule): string => {
  const plain = rule._tag === "Cron" ? `${rule.expression} ${rule.zone}` : `every ${span(rule.everyMs)}`
  return rule.open === undefined ? plain : `${plain}, ${closedTexts[rule.open.closed]}`
}

const closedTexts = { skip: "when open", next: "next open day", previous: "previous open day" } as const

export const standText = ({ nextAt, pausedAt }: RecurrenceView, paint: Paint): string =>
  pausedAt !== null
    ? paint.bad(`paused since ${instant(pausedAt)}`)
    : nextAt === null
      ? "ended"
      : `next ${instant(nextAt)}`
