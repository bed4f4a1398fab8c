import { Context } from "effect"
import { randomFillSync, randomUUID } from "node:crypto"
import type { EventId } from "../core/TaskId.ts"

/** Where ids get their random bits; a reference, so that tests and simulations draw them from a seed. */
export const Ids = Context.Reference<{
  readonly eventId: () => EventId
  /** Eight random bytes for a task id. Valid until the next call. */
  readonly taskBytes: () => Uint8Array
}>("duetime/store/Ids", {
  defaultValue: () => {
    // One system call per 512 ids instead of one per id.
    const pool = new Uint8Array(4096)
    let used = pool.length
    return {
      eventId: () => randomUUID(),
      taskBytes: () => {
        if (used === pool.length) {
          randomFillSync(pool)
          used = 0
        }
        used += 8
        return pool.subarray(used - 8, used)
      }
    }
  }
})
