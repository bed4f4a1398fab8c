import { Effect, Scope } from "effect"
import type { HandlerConflict } from "../../DuetimeError.ts"
import type { Handlers } from "../../index.ts"

type Register = Handlers["Service"]["register"]
type Handler = Parameters<Register>[0]

/**
 * Stands before the worker's registry while the handlers' layers are built, so that their queues can be looked at before the
 * worker takes anything of them.
 */
export class HandlerHold {
  readonly #held: Array<{ readonly handler: Handler; readonly scope: Scope.Scope }> = []

  readonly register: Register = (handler) =>
    Effect.map(Effect.scope, (scope) => {
      this.#held.push({ handler, scope })
    })

  get handlers(): ReadonlyArray<Handler> {
    return this.#held.map(({ handler }) => handler)
  }

  get kinds(): ReadonlyArray<string> {
    return this.#held.map(({ handler }) => handler.policy.kind)
  }

  get queues(): ReadonlyArray<string> {
    return [...new Set(this.#held.map(({ handler }) => handler.policy.queue))]
  }

  /** Each in the scope of its own layer, before whose services it has to end. */
  letGo(register: Register): Effect.Effect<void, HandlerConflict> {
    return Effect.forEach(this.#held, ({ handler, scope }) => Scope.provide(register(handler), scope), {
      discard: true
    })
  }
}
