import type * as CliError from "effect/cli/CliError"
import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Terminal from "effect/Terminal"
import type { Stage } from "../core/TaskState.ts"
import type { ActError } from "../Duetime.ts"
import type { TaskSummary } from "../TaskView.ts"
import { type Answer, answering } from "./Answer.ts"
import { type Client, withClient } from "./connection.ts"
import { counted } from "./render/table.ts"
import { summaryLine } from "./render/tasks.ts"
import { usage } from "./usage.ts"

/** Tasks of one command: their ids are held in memory, and a person can still wait for its end. */
const bulkTasksMax = 200_000
const pageSize = 1_000
const wishesInParallel = 8
/** A line on stderr every so many tasks. */
const progressEvery = 5_000

/** What a command is given that wishes something of one task, or of all of a stage and kind. */
export const onTasks = <const S extends ReadonlyArray<Stage>>(possible: S) => ({
  id: Argument.String("id").pipe(Argument.withDescription("Id of the task; or --all instead"), Argument.optional),
  all: Flag.Boolean("all").pipe(
    Flag.withDescription(`All tasks of a --kind or --stage, at most ${bulkTasksMax.toLocaleString("en-US")}`),
    Flag.withDefault(false),
    Flag.withoutNegation
  ),
  kind: Flag.String("kind").pipe(
    Flag.withDescription("With --all: only this kind"),
    Flag.withMetavar("name"),
    Flag.optional
  ),
  stage: Flag.Literals("stage", possible).pipe(
    Flag.withDescription(`With --all: tasks of this stage, ${possible.join(", ")}; default ${possible[0]}`),
    Flag.withMetavar("stage"),
    Flag.optional
  ),
  dryRun: Flag.Boolean("dry-run").pipe(
    Flag.withDescription("With --all: only count them"),
    Flag.withDefault(false),
    Flag.withoutNegation
  ),
  yes: Flag.Boolean("yes").pipe(
    Flag.withDescription("With --all: do not ask first"),
    Flag.withAlias("y"),
    Flag.withDefault(false),
    Flag.withoutNegation
  )
})

export type OnTasks = {
  readonly id: Option.Option<string>
  readonly all: boolean
  readonly kind: Option.Option<string>
  readonly stage: Option.Option<Stage>
  readonly dryRun: boolean
  readonly yes: boolean
}

export const checkOnTasks = ({ all, dryRun, id, kind, stage, yes }: OnTasks) => {
  if (all && Option.isSome(id)) return usage("Give an id or --all, not both.")
  if (all && Option.isNone(kind) && Option.isNone(stage)) return usage("--all needs --kind, --stage or both.")
  if (!all && Option.isNone(id)) return usage("Give the id of a task, or --all with --kind or --stage.")
  const isFiltered = Option.isSome(kind) || Option.isSome(stage) || dryRun || yes
  return !all && isFiltered ? usage("--kind, --stage, --dry-run and --yes go with --all.") : Effect.void
}

/** The handler of such a command: tells where the one task stands afterwards, or what became of all. */
export const acting = <Input extends OnTasks>(
  verb: string,
  stageDefault: Stage,
  act: (client: Client, id: string, input: Input) => Effect.Effect<TaskSummary, ActError>
) =>
  answering((input: Input) =>
    withClient((client): Effect.Effect<Answer, ActError | BulkError, Prompt.Environment> =>
      Option.isSome(input.id)
        ? Effect.map(act(client, input.id.value, input), (task) => ({
            document: task,
            text: (paint) => summaryLine(task, paint)
          }))
        : actingOnAll(
            client,
            verb,
            Option.getOrElse(input.stage, () => stageDefault),
            input,
            (id) => act(client, id, input)
          )
    )
  )

type BulkError = CliError.ValidationError | Terminal.QuitError

/** The ids first and then the wishes: a task that is moved further back would be met again by its due time. */
const actingOnAll = Effect.fnUntraced(function* (
  { duetime }: Client,
  verb: string,
  stage: Stage,
  { dryRun, kind, yes }: OnTasks,
  act: (id: string) => Effect.Effect<TaskSummary, ActError>
): Effect.fn.Return<Answer, ActError | BulkError, Prompt.Environment> {
  const kindName = Option.getOrUndefined(kind)
  const whichOf = (count: number) =>
    `${counted(count, `${stage} task`)}${kindName === undefined ? "" : ` of kind ${kindName}`}`
  const ids: Array<string> = []
  let after: string | undefined
  do {
    const page: { readonly tasks: ReadonlyArray<TaskSummary>; readonly next: string | null } = yield* duetime.find({
      stage,
      kind: kindName,
      limit: pageSize,
      after
    })
    for (const { id } of page.tasks) ids.push(id)
    after = page.next ?? undefined
  } while (after !== undefined && ids.length <= bulkTasksMax)
  if (ids.length > bulkTasksMax) {
    return yield* usage(`There are more than ${whichOf(bulkTasksMax)}; narrow it with --kind or --stage.`)
  }
  const tally = { dryRun, found: ids.length, done: 0, skipped: 0 }
  if (dryRun || ids.length === 0) {
    return {
      document: tally,
      text: () => `${whichOf(ids.length)}${ids.length > 0 ? `: ${verb} would be wished of each` : ""}`
    }
  }
  if (!yes) {
    const { canPrompt } = yield* TerminalCapabilities
    if (!canPrompt) {
      return yield* usage(`This is about ${whichOf(ids.length)}: add --yes, or look first with --dry-run.`)
    }
    const isSure = yield* Prompt.run(Prompt.Confirm({ message: `${verb} ${whichOf(ids.length)}?` }))
    if (!isSure) return { document: tally, text: () => "", notes: ["Nothing was done."] }
  }
  yield* Effect.forEach(
    ids,
    (id) =>
      act(id).pipe(
        Effect.tap(() => Effect.sync(() => tally.done++)),
        // It has gone on meanwhile, or retention has dropped its day.
        Effect.catchTag(["InvalidTransition", "TaskNotFound"], () => Effect.sync(() => tally.skipped++)),
        Effect.tap(() =>
          (tally.done + tally.skipped) % progressEvery === 0
            ? Console.error(
                `${(tally.done + tally.skipped).toLocaleString("en-US")} of ${counted(ids.length, "task")} so far ...`
              )
            : Effect.void
        )
      ),
    { concurrency: wishesInParallel, discard: true }
  )
  return {
    document: tally,
    text: () =>
      `${verb}: ${counted(tally.done, "task")}${tally.skipped === 0 ? "" : `, ${tally.skipped.toLocaleString("en-US")} had gone on`}`
  }
})
