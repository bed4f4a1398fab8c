/** One step of a recorded history: what was asked of the servers, with what they answered, and how to ask it again elsewhere. */
import type { Effect } from "effect"
import type { Dispatch } from "../../src/broker/Broker.ts"
import type { KindPolicy } from "../../src/core/KindPolicy.ts"
import type { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import type { StoredStream, TaskStore } from "../../src/store/TaskStore.ts"

/** The servers that a history is replayed on. */
export type Servers = {
  readonly store: TaskStore["Service"]
  readonly recurrences: RecurrenceStore["Service"]
  readonly openSession: (policies: ReadonlyArray<KindPolicy>) => Effect.Effect<number>
  readonly renew: (sessionId: number) => Effect.Effect<boolean>
  readonly serve: (sessionId: number, policies: ReadonlyArray<KindPolicy>) => Effect.Effect<void>
}

/** A request in the words of the servers: ids that those draw themselves are others than in the simulation. */
export type As = <A>(value: A) => A

/** What a call has answered, as far as all stores agree about it. */
export type Answer =
  | { readonly _tag: "Success"; readonly value: unknown }
  | { readonly _tag: "Failure"; readonly error: string }

export type Call = {
  readonly _tag: "Call"
  readonly name: string
  /** Ms since the history began, and of the database's clock. */
  readonly atMs: number
  readonly databaseMs: number
  readonly asked: unknown
  /** @param recorded this call, as it was done */
  readonly again: (servers: Servers, as: As, recorded: Call) => Effect.Effect<unknown, unknown>
  /** Events of the claims whose dispatches it answers. */
  readonly claims: ReadonlyArray<string>
  /** Brings what any store answers into the form of `answer`. */
  readonly shape: (value: unknown) => unknown
  readonly answer: Answer
  /** Tasks that it has appended to, as they are after it. */
  readonly touched: ReadonlyArray<StoredStream>
}

export type Step =
  | Call
  | { readonly _tag: "Publish"; readonly atMs: number; readonly dispatch: Dispatch }
  /** Commits after that instant are gone, and so many values of the sequence of sessions. */
  | {
      readonly _tag: "FailOver"
      readonly atMs: number
      readonly cutAtMs: number
      readonly sessionsLeftOutCount: number
    }
