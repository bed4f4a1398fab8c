/** What attempts do, in both revisions. */
import { Data, Effect, Layer } from "effect"
import { Block, Call, CallOnce, Commit } from "./kinds.ts"
import { callUrl } from "./outside.ts"

class Unlucky extends Data.TaggedError("Unlucky")<{ readonly message: string }> {}

type Work = { readonly workMs: number; readonly failures: number }

export const work = ({ failures, workMs }: Work, attempt: number) =>
  Effect.andThen(
    Effect.sleep(workMs),
    attempt <= failures
      ? Effect.fail(new Unlucky({ message: `attempt ${attempt} of ${failures} that fail` }))
      : Effect.void
  )

/** Whatever it is given. */
export const fail = (payload: Work, attempt: number) => work({ ...payload, failures: attempt }, attempt)

/** The call goes out first: whoever dies in the work after it leaves a call that will be repeated. */
const call = (payload: Work, attempt: { idempotencyKey: string; number: number; fence: number }) =>
  Effect.andThen(
    Effect.tryPromise((signal) =>
      fetch(callUrl(process.env["CHAOS_OUTSIDE_URL"] ?? "", attempt), { method: "POST", signal })
    ),
    work(payload, attempt.number)
  )

const blocked = new Int32Array(new SharedArrayBuffer(4))

export const unchanged = Layer.mergeAll(
  Commit.handle((payload, attempt) =>
    // The work lies inside the transaction, against all advice: kills and freezes shall meet a row that is written and not committed.
    attempt.commit((sql) =>
      Effect.andThen(
        sql`INSERT INTO chaos.effect (task_id, attempt) VALUES (${attempt.taskId}::uuid, ${attempt.number}::int4)`,
        work(payload, attempt.number)
      )
    )
  ),
  Call.handle(call),
  CallOnce.handle(call),
  Block.handle(({ workMs }) => Effect.sync(() => void Atomics.wait(blocked, 0, 0, workMs)))
)
