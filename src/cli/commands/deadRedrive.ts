import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import type * as Prompt from "effect/cli/Prompt"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DeadLettersError } from "../../DeadLetters.ts"
import type { ActError } from "../../Duetime.ts"
import type { ConfigInvalid, PayloadRejected, TasksInvalid } from "../../DuetimeError.ts"
import type { StoreFailure, BrokerFailure } from "../../layers.ts"
import { type Answer, answering } from "../Answer.ts"
import { type Client, withClient } from "../connection.ts"
import {
  checkSelection,
  eachId,
  filterOf,
  inBulk,
  isBulk,
  selection,
  type Selection,
  type Sureness
} from "../deadLetters.ts"
import { noSpan } from "../parameters.ts"
import { rampAll, type RampStopped } from "../ramp.ts"
import { millisecondsOf } from "../span.ts"
import { usage } from "../usage.ts"

const payload = Flag.String("payload").pipe(
  Flag.withDescription("JSON that the attempts are given from now on, instead of the payload; of one id"),
  Flag.withMetavar("json"),
  Flag.mapTryCatch(
    (text): unknown => JSON.parse(text),
    (error) => `the payload is not JSON: ${error instanceof Error ? error.message : String(error)}`
  ),
  Flag.optional
)
const tasks = Flag.String("tasks").pipe(
  Flag.withDescription("With --payload: module with the handlers, whose schema of the kind must fit the payload"),
  Flag.withMetavar("module"),
  Flag.optional
)
const ramp = Flag.Boolean("ramp").pipe(
  Flag.withDescription("In growing batches, group by group, each stopped when its failures return"),
  Flag.withDefault(false),
  Flag.withoutNegation
)
const wait = Flag.String("wait").pipe(
  Flag.withDescription("With --ramp: how long the outcomes of a batch are waited for; default 5m"),
  Flag.withMetavar("span"),
  Flag.filterMap(millisecondsOf, noSpan),
  Flag.optional
)
const after = Flag.String("after").pipe(
  Flag.withDescription("With --ramp and --group: go on behind this id, where a ramp has stopped"),
  Flag.withMetavar("id"),
  Flag.optional
)

type Input = Selection & {
  readonly payload: Option.Option<unknown>
  readonly tasks: Option.Option<string>
  readonly ramp: boolean
  readonly wait: Option.Option<number>
  readonly after: Option.Option<string>
}

type OneError = ActError | PayloadRejected
type ManyError = DeadLettersError | Sureness | RampStopped | TasksInvalid | ConfigInvalid | StoreFailure | BrokerFailure

export const deadRedrive = Command.make(
  "redrive",
  { ...selection, payload, tasks, ramp, wait, after },
  answering((input: Input) =>
    withClient((client): Effect.Effect<Answer<OneError | RampStopped>, ManyError | OneError, Prompt.Environment> => {
      if (input.ramp) return rampAll(client, input)
      return isBulk(input) ? redriveAll(client, input) : redriveIds(client, input)
    })
  )
).pipe(
  Command.validate((input) => {
    if (Option.isSome(input.payload) && (isBulk(input) || input.ids.length > 1)) {
      return usage("--payload goes with one id.")
    }
    if (Option.isSome(input.tasks) && Option.isNone(input.payload)) return usage("--tasks goes with --payload.")
    if (input.ramp && !isBulk(input)) return usage("--ramp goes with --all or --group.")
    if (!input.ramp && (Option.isSome(input.wait) || Option.isSome(input.after))) {
      return usage("--wait and --after go with --ramp.")
    }
    if (Option.isSome(input.after) && Option.isNone(input.group)) return usage("--after goes with --group.")
    return checkSelection(input)
  }),
  Command.withDescription("Give dead letters all their attempts again, due now"),
  Command.withExamples([
    { command: "duetime dead redrive --all --kind charge-card --dry-run", description: "How many would it be?" },
    {
      command: "duetime dead redrive --group 3f9a0c11d2e4 --ramp",
      description: "A few first, and more as they succeed"
    },
    {
      command: `duetime dead redrive 019ab1d6-9c00-7a1b-8c2d-0123456789ab --payload '{"amount":7}' --tasks tasks.ts`,
      description: "With a mended payload, checked against the kind's schema"
    }
  ])
)

const redriveIds = Effect.fnUntraced(function* ({ duetime }: Client, input: Input) {
  const { payload, tasks } = input
  if (Option.isSome(payload) && Option.isSome(tasks)) {
    const { checkPayload } = yield* Effect.promise(() => import("../role/checkPayload.ts"))
    const { kind } = yield* duetime.get(input.ids[0] ?? "")
    yield* checkPayload(tasks.value, kind, payload.value)
  }
  return yield* eachId<OneError>(input, "redriven", (id) => {
    if (input.dryRun) return duetime.get(id)
    return Option.isNone(payload) ? duetime.redrive(id) : duetime.redriveWith(id, payload.value)
  })
})

const redriveAll = ({ deadLetters }: Client, input: Input) =>
  inBulk(
    input,
    { verb: "redrive", done: "redriven" },
    {
      count: deadLetters.count(filterOf(input)),
      move: deadLetters.redriveAll(filterOf(input))
    }
  )
