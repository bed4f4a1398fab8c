/** What is asked of a store, as data: names in place of ids, versions in place of fences. It can be printed, repeated and shrunk. */
import type { Outcome, Reconciliation } from "../../src/core/TaskCommand.ts"
import type { Json, ReleaseReason } from "../../src/core/TaskEvent.ts"
import type { PauseTarget, Wish } from "../../src/store/TaskStore.ts"
import type { Links, Name, PriorityWord } from "./facts.ts"

/** Whoever asks for a change numbers it; the event of it has an id made of that number, and a repeat has the same. */
export type Request = number

export type NewOne = Links & {
  readonly name: Name
  readonly request: Request
  /** Its id, which settles ties: a UUID of version 7. */
  readonly id: string
  readonly kind: string
  readonly priority: PriorityWord
  readonly dueAtMs: number
  readonly expiresAtMs: number | null
  readonly key: string | null
  readonly keyKeptMs: number | null
  readonly payload: Json
}

/** A claim, a start or a parking, by the version of its event. */
export type Held = { readonly task: Name; readonly fence: number }

export type Operation =
  | { readonly tag: "Tick"; readonly ms: number }
  | { readonly tag: "Schedule"; readonly tasks: ReadonlyArray<NewOne> }
  | {
      readonly tag: "Claim"
      readonly session: number
      readonly kinds: ReadonlyArray<string>
      readonly priorities: ReadonlyArray<PriorityWord> | null
      readonly lookAheadMs: number
      readonly limit: number
      readonly concurrencyMax: number | null
    }
  | { readonly tag: "ClaimedBy"; readonly session: number; readonly dueBeforeMs: number }
  | {
      readonly tag: "Pull"
      readonly kinds: ReadonlyArray<string>
      readonly overdueMs: number
      readonly limit: number
      readonly fromLowest: number
      readonly suspectsMax: number
    }
  | {
      readonly tag: "Unclaim"
      readonly items: ReadonlyArray<Held & { readonly request: Request }>
      readonly reason: ReleaseReason
    }
  | {
      readonly tag: "Start"
      readonly session: number
      readonly items: ReadonlyArray<
        Held & { readonly request: Request; readonly timeoutMs: number; readonly dispatchedAtMs: number | null }
      >
    }
  | {
      readonly tag: "StartDue"
      readonly session: number
      readonly kinds: ReadonlyArray<{ readonly kind: string; readonly timeoutMs: number }>
      readonly requests: ReadonlyArray<Request>
    }
  | { readonly tag: "StartedWith"; readonly requests: ReadonlyArray<Request> }
  | {
      readonly tag: "Finish"
      readonly items: ReadonlyArray<Held & { readonly request: Request; readonly outcome: Outcome }>
    }
  | {
      readonly tag: "FinishWith"
      readonly request: Request
      readonly outcome: Outcome
      readonly task: Name
      readonly fence: number
      /** Scheduled in the transaction of the outcome. */
      readonly tasks: ReadonlyArray<NewOne>
    }
  | { readonly tag: "AnyExpired" | "Expire" | "ExpireTasks" }
  | { readonly tag: "TakeParked"; readonly kinds: ReadonlyArray<string>; readonly limit: number }
  | (Held & { readonly tag: "Reconcile"; readonly request: Request; readonly answer: Reconciliation })
  | { readonly tag: "Act"; readonly task: Name; readonly request: Request; readonly wish: Wish }
  | { readonly tag: "Pause"; readonly target: PauseTarget; readonly isPaused: boolean }
  | { readonly tag: "RelayDead"; readonly isHeard: boolean }
  | { readonly tag: "Ends"; readonly tasks: ReadonlyArray<Name> }
  | { readonly tag: "Kill" | "Leave"; readonly session: number }

/** As many as a call may ask for; smaller limits are drawn where the order says which ones are taken. */
export const noLimit = 1_000
