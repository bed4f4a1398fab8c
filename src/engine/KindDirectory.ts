import { Effect } from "effect"
import { defaultQueue } from "../core/KindPolicy.ts"
import type { Broker } from "../broker/Broker.ts"
import type { Session } from "../store/Session.ts"
import type { StoreUnavailable } from "../store/StoreError.ts"
import type { TaskStore } from "../store/TaskStore.ts"
import { QueueLoad } from "./QueueLoad.ts"

/**
 * Which queue serves which kind, and which kinds some live worker within the broker's reach serves: only those are
 * claimed. Read from the database again each second, and at every poll while there is nothing to serve.
 */
export class KindDirectory {
  readonly #store: TaskStore["Service"]
  readonly #session: Session["Service"]
  readonly #reach: Broker["Service"]["reach"]
  readonly #loads = new Map<string, QueueLoad>()
  #queueByKind: ReadonlyMap<string, string> = new Map()
  #servesAny = false
  #refreshedAtMs = Number.NEGATIVE_INFINITY

  constructor(store: TaskStore["Service"], session: Session["Service"], reach: Broker["Service"]["reach"]) {
    this.#store = store
    this.#session = session
    this.#reach = reach
  }

  /** Every queue ever served here; those without kinds are served no more. */
  get loads(): Iterable<QueueLoad> {
    return this.#loads.values()
  }

  loadOf(kind: string): QueueLoad {
    return this.#loadOfQueue(this.#queueByKind.get(kind) ?? defaultQueue)
  }

  /** @param atMs monotonic */
  refreshIfStale(atMs: number): Effect.Effect<void, StoreUnavailable> {
    return this.#servesAny && atMs - this.#refreshedAtMs < refreshMs ? Effect.void : this.#refresh(atMs)
  }

  readonly #refresh = Effect.fnUntraced({ self: this }, function* (this: KindDirectory, atMs: number): Effect.fn.Return<
    void,
    StoreUnavailable
  > {
    const served = yield* this.#session.servedKinds(this.#reach)
    if (served.length > 0) {
      const records = yield* this.#store.kinds
      this.#queueByKind = new Map(records.map(({ policy }) => [policy.kind, policy.queue]))
    }
    const kindsByQueue = Map.groupBy(served, (kind) => this.#queueByKind.get(kind) ?? defaultQueue)
    for (const load of this.#loads.values()) load.kinds = []
    for (const [queue, kinds] of kindsByQueue) this.#loadOfQueue(queue).kinds = kinds
    this.#servesAny = served.length > 0
    this.#refreshedAtMs = atMs
  })

  #loadOfQueue(queue: string): QueueLoad {
    let load = this.#loads.get(queue)
    if (load === undefined) {
      load = new QueueLoad(queue)
      this.#loads.set(queue, load)
    }
    return load
  }
}

/** A new kind waits this long at most for its first claim; what a worker announces takes effect without a message. */
const refreshMs = 1_000
