/** The memory database's recurrences behind legs. */
import type { Effect } from "effect"
import type { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import type { Owner } from "../../src/testing/simulation/Kernel.ts"
import type { Legs } from "../../src/testing/simulation/Legs.ts"

export const recurrencesBehindLegs = (
  store: RecurrenceStore["Service"],
  owner: Owner,
  legs: Legs
): RecurrenceStore["Service"] => {
  const call = <A, E>(operation: string, apply: Effect.Effect<A, E>) => legs.call(owner, operation, apply)
  return {
    ...store,
    create: (name, definition) => call("createRecurrence", store.create(name, definition)),
    revise: (name, change, repeatOf) => call("reviseRecurrence", store.revise(name, change, repeatOf)),
    settle: (limit) => call("settle", store.settle(limit)),
    find: (name) => call("findRecurrence", store.find(name))
  }
}
