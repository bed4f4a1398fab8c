/**
 * A world that does not keep its promises, in one place and on purpose: what the simulation must find. Made anew for each
 * history. It never touches the code of `src`: it stands before a port, or changes the memory database of this one history.
 */
import type { Broker } from "../../src/broker/Broker.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { Session } from "../../src/store/Session.ts"
import type { TaskStore } from "../../src/store/TaskStore.ts"
import type { Kernel } from "../../src/testing/simulation/Kernel.ts"

export type Damage = {
  /** Once, before any node begins. */
  readonly database?: (database: MemoryDatabase, kernel: Kernel) => void
  /** Behind the legs: what the database does. All nodes share it. */
  readonly store?: (store: TaskStore["Service"], database: MemoryDatabase) => TaskStore["Service"]
  /** Before the legs: what a node's own code makes of the store, its session and its broker. */
  readonly ownStore?: (store: TaskStore["Service"], database: MemoryDatabase) => TaskStore["Service"]
  readonly session?: (session: Session["Service"]) => Session["Service"]
  readonly broker?: (broker: Broker["Service"]) => Broker["Service"]
}

export type Breakage = () => Damage

export const unbroken: Breakage = () => ({})
