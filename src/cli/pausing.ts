import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Pausable, PauseError } from "../Duetime.ts"
import { answering } from "./Answer.ts"
import { type Client, withClient } from "./connection.ts"
import { usage } from "./usage.ts"

/** What `pause` and `resume` are about. */
export const pausable = {
  kind: Flag.String("kind").pipe(Flag.withDescription("This kind"), Flag.withMetavar("name"), Flag.optional),
  queue: Flag.String("queue").pipe(
    Flag.withDescription("All kinds of this queue"),
    Flag.withMetavar("name"),
    Flag.optional
  )
}

type Input = { readonly kind: Option.Option<string>; readonly queue: Option.Option<string> }

export const checkPausable = ({ kind, queue }: Input) =>
  Option.isSome(kind) === Option.isSome(queue) ? usage("Give --kind or --queue.") : Effect.void

/** The handler of both: what it did, and a word of warning where the name may be mistyped. */
export const pausing = (
  isPaused: boolean,
  act: (client: Client, target: Pausable) => Effect.Effect<void, PauseError>
) =>
  answering((input: Input) =>
    withClient((client) =>
      Effect.gen(function* () {
        const target = targetOf(input)
        yield* act(client, target)
        const [word, name] = target.kind === undefined ? ["queue", target.queue] : ["kind", target.kind]
        const records = yield* client.store.kinds
        const isServed = records.some(
          ({ known, policy }) => known && (word === "queue" ? policy.queue : policy.kind) === name
        )
        return {
          document: { ...target, isPaused },
          text: (paint) => `${word} ${name}  ${isPaused ? paint.bad("paused") : paint.good("resumed")}`,
          notes: isServed
            ? []
            : [`No worker has served the ${word} "${name}" yet. "duetime kinds" lists what there is.`]
        }
      })
    )
  )

const targetOf = ({ kind, queue }: Input): Pausable =>
  Option.isSome(kind) ? { kind: kind.value } : { queue: Option.getOrElse(queue, () => "") }
