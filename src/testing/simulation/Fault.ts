/** What may go wrong in a history, as data. `nth` counts the calls of one operation by one node over all its lives, from 1. */
export type Fault =
  /** SIGKILL of a node at an instant; it comes back after `downMs`. */
  | { readonly _tag: "Crash"; readonly node: number; readonly atMs: number; readonly downMs: number }
  /** SIGKILL exactly at a leg of a call: before its request arrives, or before its reply does. */
  | {
      readonly _tag: "CrashAtLeg"
      readonly node: number
      readonly operation: Operation
      readonly leg: "request" | "reply"
      readonly nth: number
      readonly downMs: number
    }
  /** SIGSTOP and SIGCONT: nothing of the node runs, time goes on. */
  | { readonly _tag: "Pause"; readonly node: number; readonly atMs: number; readonly forMs: number }
  /** The same exactly at a leg of a call: while its request is sent, which then arrives late, or before its reply is taken. */
  | {
      readonly _tag: "PauseAtLeg"
      readonly node: number
      readonly operation: Operation
      readonly leg: "request" | "reply"
      readonly nth: number
      readonly forMs: number
    }
  /** A call whose request or reply is lost; either way the caller cannot know. */
  | {
      readonly _tag: "Lose"
      readonly node: number
      readonly operation: Operation
      readonly leg: "request" | "reply"
      readonly nth: number
    }
  | {
      readonly _tag: "Delay"
      readonly node: number
      readonly operation: Operation
      readonly leg: "request" | "reply"
      readonly nth: number
      readonly forMs: number
    }
  /** The same request arrives twice, as from a driver that repeats it. */
  | { readonly _tag: "Duplicate"; readonly node: number; readonly operation: RepeatableOperation; readonly nth: number }
  /** Rolled back by the database, as with 40001. */
  | { readonly _tag: "Refuse"; readonly node: number; readonly operation: Operation; readonly nth: number }
  /** No connection is free: calls of the node wait. */
  | { readonly _tag: "PoolExhausted"; readonly node: number; readonly atMs: number; readonly forMs: number }
  /** The node cannot reach the database; its lease is not renewed either. */
  | { readonly _tag: "CutOff"; readonly node: number; readonly atMs: number; readonly forMs: number }
  | { readonly _tag: "BrokerDown"; readonly atMs: number; readonly forMs: number }
  /** The broker loses everything that it holds. */
  | { readonly _tag: "BrokerEmptied"; readonly atMs: number }
  /** Of each dispatch published meanwhile: it is lost, comes again, or comes late, so behind others. */
  | {
      readonly _tag: "Unreliable"
      readonly how: "lost" | "repeated" | "late"
      readonly atMs: number
      readonly forMs: number
    }

  /** The wall clock of a node is set; monotonic time goes on. */
  | { readonly _tag: "ClockJump"; readonly node: number; readonly atMs: number; readonly byMs: number }
  /** The database's clock is set: everything moves by so much. */
  | { readonly _tag: "DatabaseClockJump"; readonly atMs: number; readonly byMs: number }
  /** A standby takes over that has not heard of the last commits; until it has, nobody reaches the database. */
  | { readonly _tag: "Failover"; readonly atMs: number; readonly losesMs: number; readonly forMs: number }
  /** The database is restored from a backup, with all engines and workers stopped, as the guarantees ask for. */
  | { readonly _tag: "Restore"; readonly atMs: number; readonly losesMs: number; readonly forMs: number }

export type FaultTag = Fault["_tag"]

/** Requests that carry their own event ids, or change nothing when they come again, and so may arrive twice. */
export const repeatableOperations = [
  "schedule",
  "release",
  "start",
  "finish",
  "finishWith",
  "act",
  "createRecurrence",
  "settle",
  "renew"
] as const
/** Those that begin and end an attempt. */
export const attemptOperations = ["start", "finish", "finishWith", "startDue"] as const
export const operations = [
  ...repeatableOperations,
  "claim",
  "claimedBy",
  "pull",
  "expire",
  "takeParked",
  "reconcile",
  "serve",
  "expireTasks",
  "reviseRecurrence",
  "startDue",
  "startedWith",
  "openSession"
] as const
export type RepeatableOperation = (typeof repeatableOperations)[number]
/** Calls that handlers make by themselves, to the outside and to a table of their own. */
export const handlerOperations = ["outside", "ledger"] as const
export type Operation = (typeof operations)[number] | (typeof handlerOperations)[number]
