import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { answering, Json } from "../Answer.ts"
import { type Client, withClient } from "../connection.ts"
import { nearestName } from "../nearestName.ts"
import { dueAt, dueIn, noSpan, priority, whenOf } from "../parameters.ts"
import { instant } from "../render/time.ts"
import { millisecondsOf } from "../span.ts"

const kind = Argument.String("kind").pipe(Argument.withDescription("Kind of the task, such as send-reminder"))

const payload = Flag.String("payload").pipe(
  Flag.withDescription("JSON; default {}"),
  Flag.withMetavar("json"),
  Flag.mapTryCatch(
    (text): unknown => JSON.parse(text),
    (error) => `the payload is not JSON: ${error instanceof Error ? error.message : String(error)}`
  ),
  Flag.withDefault({})
)

const key = Flag.String("key").pipe(
  Flag.withDescription("Idempotency key within the kind: the same key and payload is the same task"),
  Flag.withMetavar("text"),
  Flag.optional
)

const expiresIn = Flag.String("expires-in").pipe(
  Flag.withDescription("Never start it later than so long after the due time"),
  Flag.withMetavar("span"),
  Flag.filterMap(millisecondsOf, noSpan),
  Flag.optional
)

const expiresAt = Flag.String("expires-at").pipe(
  Flag.withDescription("Never start it at or after this instant"),
  Flag.withMetavar("instant"),
  Flag.optional
)

const traceparent = Flag.String("traceparent").pipe(
  Flag.withDescription("W3C trace context that the task's attempts belong to; default the environment's TRACEPARENT"),
  Flag.withMetavar("context"),
  Flag.withFallbackConfig(Config.String("TRACEPARENT")),
  Flag.optional
)

/** A task of a kind that nobody has ever served may have a mistyped name: it would wait for ever, without a word. */
const unserved = Effect.fnUntraced(function* (
  store: Client["store"],
  { id, kind }: { readonly id: string; readonly kind: string }
) {
  // The task is there; whoever may schedule and not read kinds has no failure of it.
  const kinds = Option.getOrNull(yield* Effect.option(store.kinds))
  const served = kinds?.filter(({ known }) => known).map(({ policy }) => policy.kind)
  if (served === undefined || served.includes(kind)) return []
  const near = nearestName(kind, served)
  return [
    `No worker has ever served the kind "${kind}": the task waits until one does.`,
    ...(near === undefined ? [] : [`Did you mean ${near}? This one is taken back with "duetime cancel ${id}".`])
  ]
})

export const schedule = Command.make(
  "schedule",
  { kind, payload, in: dueIn, at: dueAt, expiresIn, expiresAt, key, priority: Flag.optional(priority), traceparent },
  answering((input) =>
    withClient(({ duetime, store }) =>
      Effect.gen(function* () {
        const [receipt] = yield* duetime.scheduleUntyped([
          {
            kind: input.kind,
            payload: input.payload,
            ...whenOf(input),
            expiresIn: Option.getOrUndefined(input.expiresIn),
            expiresAt: Option.getOrUndefined(input.expiresAt),
            key: Option.getOrUndefined(input.key),
            priority: Option.getOrUndefined(input.priority),
            traceparent: Option.getOrUndefined(input.traceparent)
          }
        ])
        if (receipt === undefined)
          return yield* Effect.die(new Error("one task was scheduled and no receipt came back"))
        if (receipt.keyConflict) {
          const { KeyConflict } = yield* Effect.promise(() => import("../../DuetimeError.ts"))
          const key = Option.getOrElse(input.key, () => "")
          return yield* new KeyConflict({ kind: input.kind, key, taskId: receipt.id })
        }
        const view = yield* duetime.get(receipt.id)
        const isJson = yield* Json
        return {
          document: {
            id: receipt.id,
            created: receipt.created,
            kind: view.kind,
            priority: view.priority,
            dueAt: view.dueAt
          },
          text: () => receipt.id,
          notes: [
            receipt.created
              ? `Scheduled ${view.kind} for ${instant(view.dueAt)}.`
              : `Already there: the key belongs to this task, with the same payload; it is ${view.stage}.`,
            ...(isJson || view.stage !== "pending" ? [] : yield* unserved(store, view))
          ]
        }
      })
    )
  )
).pipe(
  Command.withDescription("Schedule a task; prints its id"),
  Command.withExamples([
    {
      command: `duetime schedule send-reminder --payload '{"email":"ada@example.com"}' --in 3h --key order-7`,
      description: "Once, however often this is repeated"
    }
  ])
)
