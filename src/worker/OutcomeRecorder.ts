import { Cause, Effect, type Scope } from "effect"
import { batchSizeMax, type Finished, type FinishRequest, TaskStore } from "../store/TaskStore.ts"
import { makeGate } from "../broker/Gate.ts"
import type { Outage } from "./Outage.ts"

/**
 * Records outcomes in batches without waiting for one to fill: what ends while a batch is being written makes up the
 * next one, so a lone outcome is written at once and a thousand a second share a few commits. While the store is
 * away the same requests, with the same event ids, are repeated; the slots stay taken, which stops the intake.
 */
export type OutcomeRecorder = {
  /** `answered` is called once, when the outcome is in the store, was lost to somebody else, or cannot be stored at all. */
  readonly record: (request: FinishRequest, answered: (finished: Finished) => void) => void
  readonly pendingCount: () => number
}

/** Batches under way at once: one is being committed while the next one is sent. */
const batchesInParallel = 2

type Entry = { readonly request: FinishRequest; readonly answered: (finished: Finished) => void }

export const makeOutcomeRecorder: (outage: Outage) => Effect.Effect<OutcomeRecorder, never, TaskStore | Scope.Scope> =
  Effect.fnUntraced(function* (outage) {
    const store = yield* TaskStore
    const gate = makeGate()
    const waiting: Array<Entry> = []
    let underWay = 0

    const write = Effect.fnUntraced(function* (batch: ReadonlyArray<Entry>): Effect.fn.Return<void> {
      const written = yield* Effect.exit(outage.outlast(store.finish(batch.map((entry) => entry.request))))
      if (written._tag === "Success") {
        const answers = written.value._tag === "Some" ? written.value.value : []
        for (const [index, entry] of batch.entries()) entry.answered(answers[index] ?? { _tag: "Lost" })
        return
      }
      if (Cause.hasInterruptsOnly(written.cause)) return yield* Effect.failCause(written.cause)
      // A defect: one of them cannot be stored. Halving finds it, and the others are recorded.
      const [first] = batch
      if (batch.length === 1 && first !== undefined) {
        const { started } = first.request
        yield* Effect.logError(
          "an outcome cannot be stored; its attempt will run out at its deadline",
          written.cause
        ).pipe(Effect.annotateLogs({ taskId: started.taskId, kind: started.kind, attempt: started.attempt }))
        return first.answered({ _tag: "Lost" })
      }
      const half = batch.length >> 1
      yield* write(batch.slice(0, half))
      yield* write(batch.slice(half))
    })

    const loop = Effect.gen(function* () {
      while (true) {
        yield* gate.until(() => waiting.length > 0)
        // The opener resumed this fiber in its own stack; what ends in the same turn joins the batch.
        yield* Effect.yieldNow
        const batch = waiting.splice(0, batchSizeMax)
        if (batch.length === 0) continue
        underWay += batch.length
        yield* write(batch)
        underWay -= batch.length
      }
    })
    for (let fiber = 0; fiber < batchesInParallel; fiber++) yield* Effect.forkScoped(loop)

    return {
      record: (request, answered) => {
        waiting.push({ request, answered })
        gate.changed()
      },
      pendingCount: () => waiting.length + underWay
    }
  })
