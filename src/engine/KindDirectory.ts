import { Effect } from "effect"
import { defaultQueue } from "../core/KindPolicy.ts"
import type { Broker } from "../broker/Broker.ts"
import type { Session } from "../store/Session.ts"
import type { StoreUnavailable } from "../store/StoreError.ts"
import type { KindRecord, TaskStore } from "../store/TaskStore.ts"
import { QueueLoad } from "./QueueLoad.ts"

/**
 * Which queue serves which kind, which kinds some live worker within the broker's reach serves, which are paused and
 * which have caps: only what is served and not paused is claimed. The supervisor's look tells of it each second. What workers of
 * this process serve, if they are all there is, is looked at in every poll, and a new kind is the reason for one; then, and when looks
 * fail, the directory asks the store itself.
 */
export class KindDirectory {
  readonly #store: TaskStore["Service"]
  readonly #session: Session["Service"]
  readonly #reach: Broker["Service"]["reach"]
  readonly #loads = new Map<string, QueueLoad>()
  #queueByKind: ReadonlyMap<string, string> = new Map()
  #servable: ReadonlySet<string> = new Set()
  readonly #everServable = new Set<string>()
  #paused: ReadonlySet<string> = new Set()
  #servesAny = false
  #ownKinds: ReadonlySet<string> = new Set()
  /** When what is known was asked for, monotonic. */
  #askedAtMs = Number.NEGATIVE_INFINITY

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

  /** Served by a live worker, and not paused. */
  isServable(kind: string): boolean {
    return this.#servable.has(kind)
  }

  isPaused(kind: string): boolean {
    return this.#paused.has(kind)
  }

  /** Whether there are kinds that were claimed for once and may not be now. */
  get hasWithdrawn(): boolean {
    return this.#everServable.size > this.#servable.size
  }

  /** @param atMs monotonic */
  refreshIfStale(atMs: number): Effect.Effect<void, StoreUnavailable> {
    const isFresh = atMs - this.#askedAtMs < staleMs && (this.#reach === "fleet" || this.#servesNothingNew())
    return isFresh ? Effect.void : this.#refresh(atMs)
  }

  /**
   * To be called before the store is asked, and what it gives with the answer: how things were then. An answer that has been overtaken
   * by that to a later question is left out.
   *
   * @param atMs monotonic
   * @returns for the answer; whether some kind may be claimed that could not be before
   */
  ask(atMs: number): (records: ReadonlyArray<KindRecord>) => boolean {
    const own = this.#session.ownKinds()
    return (records) => atMs >= this.#askedAtMs && this.#hear(atMs, own, records)
  }

  /** What this process has announced itself need not be heard of from the database. */
  #servesNothingNew(): boolean {
    return this.#servesAny && this.#session.ownKinds().every((kind) => this.#ownKinds.has(kind))
  }

  readonly #refresh = Effect.fnUntraced({ self: this }, function* (this: KindDirectory, atMs: number): Effect.fn.Return<
    void,
    StoreUnavailable
  > {
    const hear = this.ask(atMs)
    const isIdle = this.#reach === "process" && this.#session.ownKinds().length + this.#everServable.size === 0
    hear(isIdle ? [] : yield* this.#store.kinds)
  })

  #hear(askedAtMs: number, own: ReadonlyArray<string>, records: ReadonlyArray<KindRecord>): boolean {
    const recordByKind = new Map(records.map((record) => [record.policy.kind, record]))
    // What a failover has made the store forget is announced again; without its policy it would be claimed above its caps.
    const served =
      this.#reach === "process"
        ? own.filter((kind) => recordByKind.get(kind)?.known === true)
        : records.flatMap(({ liveSessions, policy }) => (liveSessions > 0 ? [policy.kind] : []))
    const before = this.#servable
    this.#queueByKind = new Map(records.map(({ policy }) => [policy.kind, policy.queue]))
    this.#paused = new Set(records.filter(({ isPaused }) => isPaused).map(({ policy }) => policy.kind))
    this.#servable = new Set(served.filter((kind) => !this.#paused.has(kind)))
    for (const kind of this.#servable) this.#everServable.add(kind)
    const kindsByQueue = Map.groupBy(this.#servable, (kind) => this.#queueByKind.get(kind) ?? defaultQueue)
    for (const queue of kindsByQueue.keys()) this.#loadOfQueue(queue)
    for (const load of this.#loads.values()) {
      const kinds = kindsByQueue.get(load.queue) ?? []
      load.serve(kinds.map((kind) => ({ kind, caps: recordByKind.get(kind)?.policy.caps ?? null })))
      load.processes = Math.max(0, ...kinds.map((kind) => recordByKind.get(kind)?.liveSessions ?? 0))
    }
    this.#ownKinds = new Set(own)
    this.#servesAny = served.length > 0
    this.#askedAtMs = askedAtMs
    return [...this.#servable].some((kind) => !before.has(kind))
  }

  #loadOfQueue(queue: string): QueueLoad {
    let load = this.#loads.get(queue)
    if (load === undefined) {
      load = new QueueLoad(queue)
      this.#loads.set(queue, load)
    }
    return load
  }
}

/** Two looks of the supervisor, and not one: it tells of a new kind of another process a second after it was announced at most. */
const staleMs = 2_000
