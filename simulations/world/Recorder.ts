/**
 * Sees what the servers of a history do, at the instant at which they do it: behind the legs, where one call comes after the other. It
 * decides nothing, so a history takes the same steps whether anybody records it or not.
 */
import type { Dispatch } from "../../src/broker/Broker.ts"
import type { KindPolicy } from "../../src/core/KindPolicy.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { RecurrenceStore } from "../../src/store/RecurrenceStore.ts"
import type { TaskStore } from "../../src/store/TaskStore.ts"
import type { Kernel } from "../../src/testing/simulation/Kernel.ts"

export type Recorder = {
  /** Before anything else. */
  readonly begins: (kernel: Kernel) => void
  /** The database that is primary from now on; a second one has taken over. */
  readonly serves: (database: MemoryDatabase) => void
  /** When it has: what was committed later is gone, and so many ids of sessions are left out, as they may have been given. */
  readonly failsOver: (cutAtMs: number, sessionsLeftOutCount: number) => void
  readonly store: (store: TaskStore["Service"]) => TaskStore["Service"]
  readonly recurrences: (store: RecurrenceStore["Service"]) => RecurrenceStore["Service"]
  readonly sessions: (sessions: SessionServer) => SessionServer
  /** A dispatch has reached the broker. */
  readonly published: (dispatch: Dispatch) => void
}

/** What the database does for the session of a process, each in one step. */
export type SessionServer = {
  /** Answers its id. */
  readonly open: (policies: ReadonlyArray<KindPolicy>) => number
  /** False: it has been ended. */
  readonly renew: (sessionId: number) => boolean
  /** The kinds that are announced for it. */
  readonly servedBy: (sessionId: number) => ReadonlyArray<string>
  readonly serve: (sessionId: number, policies: ReadonlyArray<KindPolicy>) => void
}

export const unrecorded: Recorder = {
  begins: () => {},
  serves: () => {},
  failsOver: () => {},
  store: (store) => store,
  recurrences: (store) => store,
  sessions: (sessions) => sessions,
  published: () => {}
}
