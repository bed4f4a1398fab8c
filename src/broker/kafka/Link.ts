/**
 * A connection that is made when it is needed and made anew after any failure. kafkajs keeps state that outlives its
 * cause: one deleted topic makes every later refresh of a producer's metadata fail, for all topics.
 */
import { Effect, Exit, type Scope } from "effect"
import { failure, failureOf, type KafkaFailure } from "./kafkaErrors.ts"

export type Link<A> = {
  /** Uses the connection; a failure or a late answer ends it. */
  readonly use: <B>(run: (connected: A) => Promise<B>, timeoutMs: number) => Effect.Effect<B, KafkaFailure>
  /** Whether the last use was answered; before the first, false. */
  readonly isUp: () => boolean
}

export const make = Effect.fnUntraced(function* <
  A extends { readonly connect: () => Promise<void>; readonly disconnect: () => Promise<void> }
>(create: () => A): Effect.fn.Return<Link<A>, never, Scope.Scope> {
  let current: { readonly client: A; readonly connected: Promise<void> } | undefined
  let up = false

  const connection = () => {
    if (current === undefined) {
      const client = create()
      current = { client, connected: client.connect() }
      // Whoever uses it hears of the failure; an interrupted one does not.
      current.connected.catch(() => undefined)
    }
    return current
  }
  const drop = (dropped: typeof current) => {
    if (dropped === undefined) return
    if (current === dropped) current = undefined
    // It may wait for answers that never come; nobody waits for it.
    dropped.client.disconnect().catch(() => undefined)
  }
  yield* Effect.addFinalizer(() =>
    Effect.suspend(() => {
      const last = current
      current = undefined
      return last === undefined ? Effect.void : disconnect(() => last.client.disconnect())
    })
  )

  const use = <B>(run: (connected: A) => Promise<B>, timeoutMs: number): Effect.Effect<B, KafkaFailure> =>
    Effect.suspend(() => {
      const used = connection()
      return Effect.tryPromise({
        try: () => used.connected.then(() => run(used.client)),
        catch: failureOf
      }).pipe(
        Effect.timeoutOrElse({
          duration: timeoutMs,
          orElse: () => Effect.fail(failure("NoAnswer", `no answer within ${timeoutMs} ms`))
        }),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            // Interrupted is not failed: whoever uses it at the same time goes on.
            if (Exit.isFailure(exit) && Exit.hasInterrupts(exit)) return
            up = Exit.isSuccess(exit)
            if (!up) drop(used)
          })
        )
      )
    })

  return { use, isUp: () => up }
})

/** Longest wait for a client to say goodbye. */
const disconnectMsMax = 2_000

export const disconnect = (run: () => Promise<void>): Effect.Effect<void> =>
  Effect.promise(() => run().catch(() => undefined)).pipe(Effect.timeoutOption(disconnectMsMax), Effect.asVoid)
