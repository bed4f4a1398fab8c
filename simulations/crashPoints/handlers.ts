/** What the workers of the points do with their tasks: by family, and with a trigger where an attempt can be hit. */
import { Data, Effect } from "effect"
import { type Attempt, Task } from "../../src/index.ts"
import { callUrl } from "../chaos/outside.ts"
import type { PointKind, Work } from "./kinds.ts"
import { held } from "./ports.ts"
import { meetMs, type Trigger } from "./Trigger.ts"

class Unlucky extends Data.TaggedError("Unlucky")<{ readonly message: string }> {}

/** So long a handler does nothing that is to be hit before it has: beyond the time in which the one crash of several points comes. */
const nothingMs = meetMs + 500

/** The second attempt may be long; later ones are of suspects, which have one place in each process. */
const work = ({ againMs, workMs }: Work, attempt: Attempt) => Effect.sleep(attempt.number === 2 ? againMs : workMs)

const fails = (attempt: Attempt) => Effect.fail(new Unlucky({ message: `attempt ${attempt.number} fails` }))

export const handlerOf = (kind: PointKind, trigger: Trigger, outsideUrl: string) => {
  const handling = (attempt: Attempt) =>
    Effect.andThen(
      trigger.awaits("acknowledged", kind.kind) ? Effect.sleep(nothingMs) : Effect.void,
      trigger.at("handling", [held(attempt.taskId, attempt.fence, kind.kind)])
    )

  const call = (attempt: Attempt) =>
    Effect.andThen(
      Effect.tryPromise((signal) => fetch(callUrl(outsideUrl, attempt), { method: "POST", signal })),
      trigger.at("called", [held(attempt.taskId, attempt.fence, kind.kind)])
    )

  /** By the outside's own word: whether a call of this attempt has arrived. */
  const reconcile = (_: Work, interrupted: { idempotencyKey: string; number: number; fence: number }) =>
    Effect.map(
      Effect.tryPromise(async (signal) => (await fetch(callUrl(outsideUrl, interrupted), { signal })).status),
      (status) => (status === 200 ? Task.done(null) : status === 404 ? Task.notDone : Task.unknown)
    )

  const begins =
    (body: (payload: Work, attempt: Attempt) => Effect.Effect<unknown, unknown>) => (payload: Work, attempt: Attempt) =>
      Effect.andThen(handling(attempt), body(payload, attempt))

  switch (kind.family) {
    case "commit":
      return kind.handle(
        begins((payload, attempt) =>
          // The work lies inside the transaction, against all advice: a row that is written and not committed shall be met.
          attempt.commit((sql) =>
            Effect.andThen(
              sql`INSERT INTO points.effect (task_id, attempt) VALUES (${attempt.taskId}::uuid, ${attempt.number}::int4)`,
              work(payload, attempt)
            )
          )
        )
      )
    case "call":
      return kind.handle(begins((payload, attempt) => Effect.andThen(call(attempt), work(payload, attempt))))
    case "ask":
      return kind.handle(
        begins((payload, attempt) => Effect.andThen(call(attempt), work(payload, attempt))),
        { reconcile }
      )
    case "hang":
      return kind.handle(
        begins((_, attempt) => Effect.andThen(call(attempt), attempt.number === 1 ? Effect.never : Effect.void)),
        { reconcile }
      )
    case "plain":
      return kind.handle(begins(work))
    case "fail":
      return kind.handle(
        begins((payload, attempt) =>
          Effect.andThen(work(payload, attempt), attempt.number === 1 ? fails(attempt) : Effect.void)
        )
      )
    case "doomed":
      return kind.handle(begins((payload, attempt) => Effect.andThen(work(payload, attempt), fails(attempt))))
    case "poison":
      // Whoever is armed with it does not come so far.
      return kind.handle(begins((_, attempt) => fails(attempt)))
  }
}
