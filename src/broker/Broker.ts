import { Context, type Effect, type Queue, Runtime, Schema, type Scope } from "effect"
import type { DeadLetter } from "../core/DeadLetter.ts"
import type { Priority } from "../core/Priority.ts"
import type { EventId, TaskId } from "../core/TaskId.ts"
import type { Fence } from "../core/TaskState.ts"
import type { Room } from "./DispatchLanes.ts"

/**
 * The port to what carries dispatches from engines to workers. A dispatch is a hint: the broker may lose, repeat,
 * delay or reorder it, and the start's compare-and-set on the fence makes that harmless. It carries no payload.
 */
export class Broker extends Context.Service<
  Broker,
  {
    /** Whether a dispatch reaches workers of this process only or of the whole fleet. */
    readonly reach: "process" | "fleet"
    /** One answer per dispatch, in order. A `Refused` one stays claimed and is published again. */
    readonly publish: (
      batch: ReadonlyArray<Dispatch>
    ) => Effect.Effect<ReadonlyArray<"Published" | "Refused">, BrokerUnavailable>
    /**
     * Offers a consumer of this process to start by itself what is due now of these kinds, instead of being sent a dispatch for each
     * task. False: none is waiting for it, or this broker reaches beyond the process.
     */
    readonly offerDue: (queue: string, kinds: ReadonlyArray<string>) => boolean
    /** Joins the queue's consumer group. */
    readonly consume: (queue: string) => Effect.Effect<Subscription, BrokerUnavailable, Scope.Scope>
    /**
     * Dispatches of a queue published here and not acknowledged, by priority. Exact and free within a process, late and
     * costly beyond.
     */
    readonly lag: (queue: string) => Effect.Effect<Readonly<Record<Priority, number>>, BrokerUnavailable>
    /** Tells engines, by the event ids of their claims, which of them have been started or need not be waited for. A hint. */
    readonly tellStarted: (claims: ReadonlyArray<EventId>) => Effect.Effect<void, BrokerUnavailable>
    /** What workers anywhere tell, batch by batch; of other engines' claims too. Hints: any of them may be lost. */
    readonly startedHints: Effect.Effect<Queue.Dequeue<ReadonlyArray<EventId>>, never, Scope.Scope>
    /** Tells the outside of dead letters; answered when they are stored for whoever listens. */
    readonly announceDead: (letters: ReadonlyArray<DeadLetter>) => Effect.Effect<void, BrokerUnavailable>
  }
>()("duetime/broker/Broker") {}

export type { Room } from "./DispatchLanes.ts"

export type Dispatch = {
  readonly taskId: TaskId
  readonly fence: Fence
  readonly kind: string
  readonly queue: string
  readonly priority: Priority
  readonly dueAtMs: number
  readonly dispatchedAtMs: number
  /** How often the same claim was published before: a repeated hint must not take the way on which the first was lost. */
  readonly repeat: number
  /** As of the claim: a worker that runs a suspect lets others go. */
  readonly isSuspect: boolean
  /** W3C trace context of the publishing engine, so that a trace goes on in the worker. */
  readonly traceparent?: string
}

export type Subscription = {
  /** Dispatches that arrived here and that nobody took in time. */
  readonly droppedCount: () => number
  /**
   * Waits for at least one dispatch that there is room for, and takes as many as there is, the most urgent first
   * (`DispatchLanes.ts`). A broker of the fleet drops, as if declined, what waits here while nothing is taken for
   * `holdMsMax`: it is no place to wait in, since nobody can look at, pause or reorder what waits there.
   *
   * With `unless` it waits until that has ended at most, and may then bring none. To race the whole of it with something else could lose
   * what it has just taken.
   */
  readonly take: (room: Room, unless?: Effect.Effect<void>) => Effect.Effect<ReadonlyArray<Dispatch>, BrokerUnavailable>
  /** Waits for an offer, and answers its kinds. Never, with a broker of the fleet. */
  readonly offered: Effect.Effect<ReadonlyArray<string>>
  /** Said after the starts are committed, won or lost, and before a handler runs. */
  readonly acknowledge: (batch: ReadonlyArray<Dispatch>) => Effect.Effect<void, BrokerUnavailable>
  /**
   * Said of what this consumer took and has no room for. A broker that can hands it to whoever takes next; one that cannot
   * acknowledges it, and the engine publishes it again after a while.
   */
  readonly decline: (batch: ReadonlyArray<Dispatch>) => Effect.Effect<void, BrokerUnavailable>
}

/** How long a broker of the fleet holds dispatches for a worker that takes none. */
export const holdMsMax = 100

export class BrokerUnavailable extends Schema.TaggedError<BrokerUnavailable>("duetime/BrokerUnavailable")(
  "BrokerUnavailable",
  { operation: Schema.String, reason: Schema.String, cause: Schema.optionalKey(Schema.Defect()) }
) {
  override readonly [Runtime.errorExitCode] = 5
  override get message(): string {
    return `BrokerUnavailable: ${this.operation} failed: ${this.reason}. Tasks stay safe in the store and are dispatched again; check that the broker is reachable.`
  }
}
