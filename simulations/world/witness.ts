/** Sees what cannot be seen in the end any more: which claims were passed over, and what left the store for others to read. */
import { Logger } from "effect"
import type { Dispatch } from "../../src/broker/Broker.ts"
import type { DeadLetter } from "../../src/core/DeadLetter.ts"
import { priorities, rankOf } from "../../src/core/Priority.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import type { Claimed, ClaimRequest, Finished } from "../../src/store/TaskStore.ts"
import { secret } from "./handlers.ts"
import type { Broken } from "./Broken.ts"

export class Witness {
  readonly broken: Array<Broken> = []
  /** Outcomes that came too late and were refused. */
  lostOutcomesCount = 0
  readonly logger = Logger.make(({ message }) => this.leaves("a log line", message))
  readonly #database: MemoryDatabase

  constructor(database: MemoryDatabase) {
    this.#database = database
  }

  /** A claim that was cut short by its limit has left nothing more urgent behind. */
  claimed({ caps, kinds, limit, lookAheadMs, priorities: asked }: ClaimRequest, { tasks }: Claimed): void {
    const { sessions, streams } = this.#database
    if (caps !== undefined || tasks.length === 0 || tasks.length < limit) return
    const served = kinds.filter((kind) => !sessions.isPaused(kind))
    const leastRank = Math.max(...tasks.map(({ priority }) => rankOf(priority)))
    for (const priority of priorities) {
      if (rankOf(priority) >= leastRank || asked?.includes(priority) === false) continue
      const left = streams.lanes.oldest(served, priority)
      if (left === undefined || left.dueAtMs > this.#database.now() + lookAheadMs) continue
      const message = `is ${priority}, due and left behind by a claim that took less urgent ones`
      this.broken.push({ id: "L5", taskId: left.taskId, message })
    }
  }

  finished(answers: ReadonlyArray<Finished>): void {
    for (const { _tag } of answers) if (_tag === "Lost") this.lostOutcomesCount++
  }

  /** For whoever listens: it must not hold what a payload holds. */
  leaves(where: string, what: Dispatch | ReadonlyArray<DeadLetter> | unknown): void {
    const text = typeof what === "string" ? what : JSON.stringify(what)
    if (text?.includes(secret)) {
      this.broken.push({ id: "S20", taskId: null, message: `${where} holds what only a payload should` })
    }
  }
}
