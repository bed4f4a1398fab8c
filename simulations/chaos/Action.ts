/** What may be done to the system, and how it is called. */
import type { Afterwards, Direction } from "./Line.ts"

export const leaseMs = 5_000

export type Role = "engine" | "worker"
export type Store = "PostgreSQL" | "Kafka"

/** Drawn; taken modulo the number of members. */
export type Place = number | "all"

export type Action =
  /** SIGKILL, and a new process after a while. */
  | { readonly _tag: "Kill"; readonly role: Role; readonly member: number; readonly downMs: number }
  /** The new process is killed as well, while it starts or recovers. */
  | {
      readonly _tag: "KillTwice"
      readonly role: Role
      readonly member: number
      readonly downMs: number
      readonly againMs: number
    }
  /** SIGSTOP beyond the lease, then SIGCONT: a zombie. */
  | { readonly _tag: "Pause"; readonly role: Role; readonly member: number; readonly pauseMs: number }
  /** SIGTERM: a deployment. */
  | { readonly _tag: "Stop"; readonly role: Role; readonly member: number; readonly downMs: number }
  /** The wall clock of its node is off for a while, then right again. Monotonic time goes on. */
  | {
      readonly _tag: "ShiftClock"
      readonly role: Role
      readonly member: number
      readonly offsetMs: number
      readonly forMs: number
    }
  | { readonly _tag: "CrashPostgres"; readonly downMs: number }
  /** Every fifth of a second some sessions of duetime are terminated. */
  | { readonly _tag: "TerminateBackends"; readonly forMs: number }
  | { readonly _tag: "KillKafka"; readonly downMs: number }
  /** Killed, and all its data are gone: topics, groups, offsets. */
  | { readonly _tag: "WipeKafka"; readonly downMs: number }
  /** Everything between them takes so much longer, each way. */
  | {
      readonly _tag: "Delay"
      readonly store: Store
      readonly place: Place
      readonly delayMs: number
      readonly forMs: number
    }
  /** Every connection is reset; new ones may be made at once. */
  | { readonly _tag: "Cut"; readonly store: Store; readonly place: Place }
  /** Connections stay and nothing comes through. Afterwards what was on its way arrives, or the old ones are dead and nobody is told. */
  | {
      readonly _tag: "HalfOpen"
      readonly store: Store
      readonly place: Place
      readonly direction: Direction
      readonly forMs: number
      readonly afterwards: Afterwards
    }

export type Phase = "kills" | "stores"

/** How people call it. */
export const nameOf = (action: Action): string => {
  switch (action._tag) {
    case "Kill":
      return `${action.role} killed`
    case "KillTwice":
      return `${action.role} killed again in recovery`
    case "Pause":
      return `${action.role} frozen beyond its lease`
    case "Stop":
      return `${action.role} stopped in order`
    case "ShiftClock":
      return `${action.role}'s clock set ${action.offsetMs > 0 ? "ahead" : "back"}`
    case "CrashPostgres":
      return "PostgreSQL crashed"
    case "TerminateBackends":
      return "backends terminated"
    case "KillKafka":
      return "Kafka killed"
    case "WipeKafka":
      return "Kafka wiped"
    case "Delay":
      return `network to ${action.store} delayed`
    case "Cut":
      return `network to ${action.store} cut`
    case "HalfOpen":
      return `network to ${action.store} half open${action.forMs > leaseMs ? " beyond the lease" : ""}`
  }
}
