import type { Effect } from "effect"
import type { StoreUnavailable } from "../../store/StoreError.ts"
import type { Owner } from "./Kernel.ts"
import { Legs } from "./Legs.ts"
import { counted } from "./Waits.ts"

/** Calls of user code are waits inside the kernel. */
export class CountedLegs extends Legs {
  override call<A, E>(
    owner: Owner,
    operation: string,
    apply: Effect.Effect<A, E>
  ): Effect.Effect<A, E | StoreUnavailable> {
    return counted(super.call(owner, operation, apply))
  }
}
