import * as Argument from "effect/cli/Argument"
import type * as CliError from "effect/cli/CliError"
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Terminal from "effect/Terminal"
import type { ActError } from "../Duetime.ts"
import type { DeadLettersError } from "../DeadLetters.ts"
import type { PayloadRejected } from "../DuetimeError.ts"
import type { TaskSummary } from "../TaskView.ts"
import type { Answer } from "./Answer.ts"
import { counted } from "./render/table.ts"
import { summaryLine } from "./render/tasks.ts"
import { usage } from "./usage.ts"

/** What the commands that move dead letters have in common: which ones are meant, and whether one is sure. */

export const group = Flag.String("group").pipe(
  Flag.withDescription("Dead letters of this group, as `duetime dead groups` names it"),
  Flag.withMetavar("group"),
  Flag.optional
)

const switchOf = (name: string, description: string) =>
  Flag.Boolean(name).pipe(Flag.withDescription(description), Flag.withDefault(false), Flag.withoutNegation)

export const selection = {
  ids: Argument.String("id").pipe(Argument.withDescription("Ids of dead letters"), Argument.variadic()),
  all: switchOf("all", "All dead letters, or with --kind all of one kind"),
  kind: Flag.String("kind").pipe(
    Flag.withDescription("With --all or --group: only of this kind"),
    Flag.withMetavar("name"),
    Flag.optional
  ),
  group,
  dryRun: switchOf("dry-run", "Only count what would be done"),
  yes: switchOf("yes", "Do not ask before").pipe(Flag.withAlias("y"))
}

export type Selection = {
  readonly ids: ReadonlyArray<string>
  readonly all: boolean
  readonly kind: Option.Option<string>
  readonly group: Option.Option<string>
  readonly dryRun: boolean
  readonly yes: boolean
}

export const isBulk = ({ all, group }: Selection): boolean => all || Option.isSome(group)

export const filterOf = ({ group, kind }: Selection) => ({
  kind: Option.getOrUndefined(kind),
  group: Option.getOrUndefined(group)
})

/** Which parts go together. */
export const checkSelection = (input: Selection): Effect.Effect<void, CliError.ValidationError> => {
  if (isBulk(input) && input.ids.length > 0)
    return usage(input.all ? "Give ids or --all, not both." : "Give ids or --group, not both.")
  if (!isBulk(input) && input.ids.length === 0) return usage("Give the ids of dead letters, or --all, or --group.")
  if (input.all && Option.isSome(input.group)) return usage("Give --all or --group, not both.")
  return !isBulk(input) && Option.isSome(input.kind) ? usage("--kind goes with --all or --group.") : Effect.void
}

const wordsOf = ({ group, kind }: Selection): string =>
  Option.match(group, { onNone: () => "", onSome: (name) => ` of group ${name}` }) +
  Option.match(kind, { onNone: () => "", onSome: (name) => ` of kind ${name}` })

export type Sureness = CliError.ValidationError | Terminal.QuitError

/** "redrive 3 dead letters of kind charge-card": said by the flag, or by a person. */
export const isSure = Effect.fnUntraced(function* (
  verb: string,
  count: number,
  input: Selection
): Effect.fn.Return<boolean, Sureness, Prompt.Environment> {
  if (input.yes) return true
  const what = `${verb} ${counted(count, "dead letter")}${wordsOf(input)}`
  const { canPrompt } = yield* TerminalCapabilities
  if (!canPrompt) return yield* usage(`This would ${what}: add --yes, or look first with --dry-run.`)
  return yield* Prompt.run(Prompt.Confirm({ message: `${what.charAt(0).toUpperCase()}${what.slice(1)}?` }))
})

/** Each id by itself: what is impossible for one does not stop the others, and the first reason ends the command. */
export const eachId = Effect.fnUntraced(function* <E extends ActError | PayloadRejected>(
  input: Selection,
  done: string,
  move: (id: string) => Effect.Effect<TaskSummary, E>
): Effect.fn.Return<Answer<E>> {
  const moved: Array<TaskSummary> = []
  const failures: Array<E> = []
  for (const id of input.ids) {
    const answer = yield* Effect.result(move(id))
    if (answer._tag === "Success") moved.push(answer.success)
    else failures.push(answer.failure)
  }
  const [failure, ...others] = failures
  return {
    document: {
      dryRun: input.dryRun,
      [done]: moved.map(({ id }) => id),
      failed: failures.map(({ message }) => message)
    },
    text: (paint) => moved.map((task) => summaryLine(task, paint)).join("\n"),
    notes: others.map(({ message }) => message),
    ...(failure === undefined ? {} : { failure })
  }
})

/** All that the filter means: counted, asked about, and moved. */
export const inBulk = Effect.fnUntraced(function* <E = never>(
  input: Selection,
  words: { readonly verb: string; readonly done: string },
  steps: {
    readonly count: Effect.Effect<number, DeadLettersError>
    readonly move: Effect.Effect<{ readonly done: number; readonly skipped: number }, DeadLettersError | E>
  }
): Effect.fn.Return<Answer, DeadLettersError | Sureness | E, Prompt.Environment> {
  const { done, verb } = words
  const dead = yield* steps.count
  if (input.dryRun || dead === 0) {
    return {
      document: { dryRun: input.dryRun, dead, [done]: 0, skipped: 0 },
      text: () => `${counted(dead, "dead letter")}${dead > 0 ? ` would be ${done}` : ""}`
    }
  }
  if (!(yield* isSure(verb, dead, input))) {
    const document = { dryRun: false, dead, [done]: 0, skipped: 0 }
    return { document, text: () => "", notes: [`Nothing was ${done}.`] }
  }
  const { done: count, skipped } = yield* steps.move
  return {
    document: { dryRun: false, dead, [done]: count, skipped },
    text: () =>
      `${done.charAt(0).toUpperCase()}${done.slice(1)} ${counted(count, "dead letter")}${skipped > 0 ? `, ${skipped} could no longer be` : ""}`
  }
})
