import { Effect, Exit, Predicate } from "effect"
import { type HandlerPart, HandlerUnfit } from "./AttemptFailure.ts"

/** What a handler, or the body of a commit, returned that no compiler has checked: it is judged before it is run, because another attempt would return the same. */

/**
 * The Effect to run; otherwise a defect, which no handler takes for a failure of its own. An async function has begun its work already:
 * it must not be called again, and its own failure is heard by nobody.
 */
export const effectOf = <A, E, R>(
  kind: string,
  returned: Effect.Effect<A, E, R>,
  part: HandlerPart = "handler"
): Effect.Effect<A, E, R> => {
  if (Effect.isEffect(returned)) return returned
  const value: unknown = returned
  if (!Predicate.isPromiseLike(value)) {
    return Effect.die(new HandlerUnfit({ kind, part, problem: `${wordsOf(value)}, not an Effect${hintOf(value)}` }))
  }
  // Unheard, it would end the process.
  value.then(undefined, () => {})
  return Effect.die(
    new HandlerUnfit({ kind, part, problem: "a promise, not an Effect; give async functions to handleAsync" })
  )
}

/** Of an async function: an Effect would be taken for the result, and its work never be done. An exit is what one that has run leaves. */
export const ranEffect = <A, E, R>(
  kind: string,
  settled: Effect.Effect<A, E, R>,
  part: HandlerPart = "handler"
): Effect.Effect<A, E | HandlerUnfit, R> =>
  Effect.filterOrFail(
    settled,
    (result) => !Effect.isEffect(result) || Exit.isExit(result),
    () =>
      new HandlerUnfit({
        kind,
        part,
        problem: "an Effect that nobody runs; give it to handle, or await it with runPromise"
      })
  )

const isGenerator = (value: unknown): boolean => Predicate.isIterable(value) && Predicate.hasProperty(value, "next")

const hintOf = (value: unknown): string => {
  if (isGenerator(value)) return "; wrap it in Effect.fn or Effect.gen"
  return value === undefined ? "; return the Effect that does the work" : ""
}

/** By its type and without the value: what handlers deal with does not belong into messages. */
const wordsOf = (value: unknown): string => {
  if (value === undefined || value === null) return String(value)
  if (isGenerator(value)) return "a generator"
  if (typeof value !== "object") return `a ${typeof value}`
  return `an object of class ${value.constructor?.name ?? "null"}`
}
