import * as Argument from "effect/cli/Argument"
import type * as CliError from "effect/cli/CliError"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Terminal from "effect/Terminal"
import type { ActError } from "../../Duetime.ts"
import type { OptionsRejected, StoreUnavailable } from "../../DuetimeError.ts"
import type { TaskSummary } from "../../TaskView.ts"
import { type Answer, answering } from "../Answer.ts"
import { type Client, withClient } from "../connection.ts"
import { counted } from "../render/table.ts"
import { summaryLine } from "../render/tasks.ts"
import { usage } from "../usage.ts"

/** Dead letters looked up per page, and redriven at a time. */
const pageSize = 500
const redrivesInParallel = 8

const yes = Flag.Boolean("yes").pipe(
  Flag.withDescription("Do not ask before redriving all"),
  Flag.withAlias("y"),
  Flag.withDefault(false),
  Flag.withoutNegation
)
const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Only count what would be redriven"),
  Flag.withDefault(false),
  Flag.withoutNegation
)
const all = Flag.Boolean("all").pipe(
  Flag.withDescription("All dead letters, or with --kind all of one kind"),
  Flag.withDefault(false),
  Flag.withoutNegation
)
const kind = Flag.String("kind").pipe(
  Flag.withDescription("With --all: only this kind"),
  Flag.withMetavar("name"),
  Flag.optional
)
const ids = Argument.String("id").pipe(Argument.withDescription("Dead letters to redrive"), Argument.variadic())

type Input = {
  readonly ids: ReadonlyArray<string>
  readonly all: boolean
  readonly kind: Option.Option<string>
  readonly dryRun: boolean
  readonly yes: boolean
}

export const deadRedrive = Command.make(
  "redrive",
  { ids, all, kind, dryRun, yes },
  answering((input: Input) =>
    withClient((client): Effect.Effect<Answer<ActError>, RedriveAllError, Prompt.Environment> =>
      input.all ? redriveAll(client, input) : redriveIds(client, input)
    )
  )
).pipe(
  Command.validate((input) => {
    if (input.all && input.ids.length > 0) return usage("Give ids or --all, not both.")
    if (!input.all && input.ids.length === 0) return usage("Give the ids of dead letters, or --all.")
    return !input.all && Option.isSome(input.kind) ? usage("--kind goes with --all.") : Effect.void
  }),
  Command.withDescription("Give dead letters all their attempts again, due now"),
  Command.withExamples([
    { command: "duetime dead redrive --all --kind charge-card --dry-run", description: "How many would it be?" }
  ])
)

type RedriveAllError = StoreUnavailable | OptionsRejected | CliError.ValidationError | Terminal.QuitError

/** Each id by itself: what is impossible for one does not stop the others, and the first reason ends the command. */
const redriveIds = Effect.fnUntraced(function* ({ duetime }: Client, input: Input): Effect.fn.Return<Answer<ActError>> {
  const redriven: Array<TaskSummary> = []
  const failures: Array<ActError> = []
  for (const id of input.ids) {
    const wish = input.dryRun ? duetime.get(id) : duetime.redrive(id)
    const answer = yield* Effect.result(wish)
    if (answer._tag === "Success") redriven.push(answer.success)
    else failures.push(answer.failure)
  }
  const [failure, ...others] = failures
  return {
    document: {
      dryRun: input.dryRun,
      redriven: redriven.map(({ id }) => id),
      failed: failures.map(({ message }) => message)
    },
    text: (paint) => redriven.map((task) => summaryLine(task, paint)).join("\n"),
    notes: others.map(({ message }) => message),
    ...(failure === undefined ? {} : { failure })
  }
})

const redriveAll = Effect.fnUntraced(function* (
  client: Client,
  input: Input
): Effect.fn.Return<Answer, RedriveAllError, Prompt.Environment> {
  const which = `dead letter${Option.match(input.kind, { onNone: () => "", onSome: (name) => ` of kind ${name}` })}`
  const found = yield* countDead(client, input.kind)
  const count = found.toLocaleString("en-US")
  if (input.dryRun || found === 0) {
    return {
      document: { dryRun: input.dryRun, dead: found, redriven: 0, skipped: 0 },
      text: () => `${counted(found, "dead letter")}${found > 0 ? " would be redriven" : ""}`
    }
  }
  if (!input.yes) {
    const { canPrompt } = yield* TerminalCapabilities
    if (!canPrompt)
      return yield* usage(`This would redrive ${count} ${which}s: add --yes, or look first with --dry-run.`)
    const isSure = yield* Prompt.run(Prompt.Confirm({ message: `Redrive ${count} ${which}${found === 1 ? "" : "s"}?` }))
    if (!isSure) {
      const document = { dryRun: false, dead: found, redriven: 0, skipped: 0 }
      return { document, text: () => "", notes: ["Nothing was redriven."] }
    }
  }
  let redriven = 0
  let skipped = 0
  yield* eachPage(client, input.kind, (page) =>
    Effect.forEach(
      page,
      ({ id }) =>
        client.duetime.redrive(id).pipe(
          Effect.tap(() => Effect.sync(() => redriven++)),
          // Somebody else was quicker, or retention has dropped its day.
          Effect.catchTag(["InvalidTransition", "TaskNotFound"], () => Effect.sync(() => skipped++))
        ),
      { concurrency: redrivesInParallel, discard: true }
    )
  )
  return {
    document: { dryRun: false, dead: found, redriven, skipped },
    text: () => `Redriven ${counted(redriven, "dead letter")}${skipped > 0 ? `, ${skipped} were no longer dead` : ""}`
  }
})

const countDead = Effect.fnUntraced(function* (client: Client, kind: Option.Option<string>) {
  let count = 0
  yield* eachPage(client, kind, (page) => Effect.sync(() => (count += page.length)))
  return count
})

/** By a cursor behind the last id, so that letters that die meanwhile cannot keep the loop going round. */
const eachPage = Effect.fnUntraced(function* <E>(
  { duetime }: Client,
  kind: Option.Option<string>,
  visit: (page: ReadonlyArray<TaskSummary>) => Effect.Effect<unknown, E>
) {
  let after: string | undefined
  while (true) {
    const page: { readonly tasks: ReadonlyArray<TaskSummary>; readonly next: string | null } = yield* duetime.find({
      stage: "dead",
      kind: Option.getOrUndefined(kind),
      limit: pageSize,
      after
    })
    yield* visit(page.tasks)
    if (page.next === null) return
    after = page.next
  }
})
