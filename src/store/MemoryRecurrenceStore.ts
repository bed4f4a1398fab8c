import { Effect, Queue } from "effect"
import { Ids } from "./Ids.ts"
import type { MemoryDatabase } from "./memory/MemoryDatabase.ts"
import { wakeUpsMax } from "./memory/MemoryDatabase.ts"
import type { MemoryProcess } from "./memory/MemoryProcess.ts"
import { RecurrenceStore } from "./RecurrenceStore.ts"
import { RecurrenceNotFound } from "./StoreError.ts"

/** The port to recurrences in memory; see `MemoryStore`. Nothing of it joins the transaction of a handler's commit. */
export const make = Effect.fnUntraced(function* (
  { recurrences }: MemoryDatabase,
  process: MemoryProcess
): Effect.fn.Return<RecurrenceStore["Service"]> {
  const { eventId } = yield* Ids
  const found = <A>(name: string, answer: A | null) =>
    answer === null ? Effect.fail(new RecurrenceNotFound({ name })) : Effect.succeed(answer)

  return RecurrenceStore.of({
    create: (name, definition) => process.run("createRecurrence", () => recurrences.create(name, definition)),
    revise: (name, change, repeatOf) =>
      Effect.flatMap(
        process.run("reviseRecurrence", () => recurrences.revise(name, change, eventId, repeatOf)),
        (answer) => found(name, answer)
      ),
    settle: (limit) => process.run("settle", () => recurrences.settle(limit, eventId)),
    find: (name) =>
      Effect.flatMap(
        process.run("findRecurrence", () => recurrences.find(name)),
        (answer) => found(name, answer)
      ),
    list: (after, limit) => process.run("listRecurrences", () => recurrences.list(after, limit)),
    revisions: (recurrenceId) => process.run("readRevisions", () => recurrences.revisions(recurrenceId)),
    ledger: (recurrenceId, afterMs, limit) =>
      process.run("readLedger", () =>
        recurrences
          .ledger(recurrenceId)
          .filter(({ nominalAtMs }) => nominalAtMs > afterMs)
          .slice(0, limit)
      ),
    latest: (recurrenceId, limit) =>
      process.run("readLedger", () => recurrences.ledger(recurrenceId).toReversed().slice(0, limit)),
    ledgerFromMs: Effect.succeed(0),
    wakeUps: Effect.map(
      Effect.acquireRelease(
        Effect.map(Queue.sliding<number>(wakeUpsMax), (queue) => ({
          queue,
          unsubscribe: recurrences.subscribe((decideAtMs) => Queue.offerUnsafe(queue, decideAtMs))
        })),
        ({ queue, unsubscribe }) => Effect.andThen(Effect.sync(unsubscribe), Queue.shutdown(queue))
      ),
      ({ queue }) => queue
    )
  })
})
