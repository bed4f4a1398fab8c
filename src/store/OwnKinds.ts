import { Effect, Queue, type Scope } from "effect"

/** What this process has announced that it serves, and who in it wants to know at once. */
export class OwnKinds {
  #kinds: ReadonlyArray<string> = []
  readonly #listeners = new Set<Queue.Queue<void>>()

  get all(): ReadonlyArray<string> {
    return this.#kinds
  }

  /** Whether these are all that was announced, in whatever order. */
  equal(kinds: ReadonlyArray<string>): boolean {
    return kinds.length === this.#kinds.length && kinds.every((kind) => this.#kinds.includes(kind))
  }

  /** Once the store has it. */
  announced(kinds: ReadonlyArray<string>): void {
    const before = new Set(this.#kinds)
    this.#kinds = kinds
    if (kinds.every((kind) => before.has(kind))) return
    for (const listener of this.#listeners) Queue.offerUnsafe(listener, undefined)
  }

  /** That there are new ones; several times before it is taken is once. */
  readonly news: Effect.Effect<Queue.Dequeue<void>, never, Scope.Scope> = Effect.acquireRelease(
    Effect.map(Queue.sliding<void>(1), (queue) => {
      this.#listeners.add(queue)
      return queue
    }),
    (queue) => {
      this.#listeners.delete(queue)
      return Queue.shutdown(queue)
    }
  )
}
