import { Context, type Effect, type Queue, type Scope } from "effect"
import type { KindPolicy } from "../core/KindPolicy.ts"
import type { StoreUnavailable } from "./StoreError.ts"

/**
 * The lease of this process. One row, renewed apart from the event loop, carries the right to move every task the
 * process has claimed or started; when it runs out, a supervisor anywhere gives them to others. A session that
 * was ended by a supervisor (its process was frozen or cut off) is replaced by a new one with a new id, and everything held
 * under the old id is somebody else's. A lease that ran out in an outage of the database is renewed afterwards: nobody
 * else could take anything meanwhile, and supervisors then wait for a whole lease.
 */
export class Session extends Context.Service<
  Session,
  {
    /** Id of the current session; changes when the session had to be opened anew. */
    readonly id: () => number
    /**
     * Whether the lease surely still lasts, by the monotonic clock since the last renewal was asked for. May be false for
     * a while and true again under the same id.
     */
    readonly isAlive: () => boolean
    readonly leaseMs: number
    /** Announces the kinds this process's worker handles, with their policies. Replaces the previous announcement. */
    readonly serve: (policies: ReadonlyArray<KindPolicy>) => Effect.Effect<void, StoreUnavailable>
    /**
     * Whether the last renewal has found something else announced for this session than its process has: a failover has lost the
     * announcement and not the session. Announce it again.
     */
    readonly isForgotten: () => boolean
    /** Kinds that this process has announced last. Those of every live session: `TaskStore.kinds`. */
    readonly ownKinds: () => ReadonlyArray<string>
    /** Tells that there are own kinds that were not there before, so that an engine of this process need not wait until it looks. */
    readonly newOwnKinds: Effect.Effect<Queue.Dequeue<void>, never, Scope.Scope>
  }
>()("duetime/store/Session") {}

/** Default lease: long enough for a stop-the-world pause or failover of a second, short enough that a crash costs 5 s. */
export const leaseMsDefault = 5_000
/** Renewals per lease: two may fail before the lease runs out. */
export const renewalsPerLease = 4
