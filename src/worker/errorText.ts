import { Predicate } from "effect"
import { inspect } from "node:util"
import { toStorableText } from "../core/storable.ts"
import type { AttemptError } from "../core/TaskEvent.ts"

/** Characters kept of an error's name, message and stack in the history. */
export const errorNameLengthMax = 200
export const errorMessageLengthMax = 4_000
export const errorStackLengthMax = 8_000
/** Causes followed below an error. */
const causesMax = 3

/**
 * What of a handler's failure goes into the history. Total: handlers fail with undefined, strings, proxies and errors
 * whose getters throw, and none of that may cost more than its own attempt.
 */
export const toAttemptError = (failure: unknown): AttemptError => {
  try {
    const stack = stackOf(failure)
    return {
      name: toStorableText(nameOf(failure), errorNameLengthMax),
      message: toStorableText(messageWithCauses(failure), errorMessageLengthMax),
      ...(stack === null ? {} : { stack: toStorableText(stack, errorStackLengthMax) })
    }
  } catch {
    return { name: "UnreadableError", message: "the handler failed with an error whose fields cannot be read" }
  }
}

const nameOf = (failure: unknown): string => {
  if (!Predicate.isObject(failure)) return Predicate.isString(failure) ? "Error" : "NotAnError"
  if (Predicate.hasProperty(failure, "_tag") && Predicate.isString(failure._tag) && failure._tag !== "")
    return failure._tag
  if (Predicate.hasProperty(failure, "name") && Predicate.isString(failure.name) && failure.name !== "")
    return failure.name
  return failure.constructor?.name ?? "NotAnError"
}

/**
 * With what its causes say beyond it: "fetch failed: connect ECONNREFUSED 127.0.0.1:80", and not what every failed call of a library
 * says alike, by which dead letters of different causes would be one group.
 */
const messageWithCauses = (failure: unknown): string => {
  let message = messageOf(failure)
  for (const cause of causesOf(failure)) {
    const more = cause instanceof Error || Predicate.isString(cause) ? messageOf(cause) : ""
    if (more !== nothing && !message.includes(more)) message += `: ${more}`
  }
  return message
}

const messageOf = (failure: unknown): string => {
  if (Predicate.isString(failure)) return failure
  if (!Predicate.isObject(failure)) return `the handler failed with ${shown(failure)}, which is no Error`
  if (Predicate.hasProperty(failure, "message") && Predicate.isString(failure.message) && failure.message !== "") {
    return failure.message
  }
  if (!(failure instanceof Error)) return shown(failure)
  // A tagged error without a message says what it has to say in its fields.
  return shown(Object.fromEntries(Object.entries(failure).filter(([field]) => field !== "_tag" && field !== "name")))
}

const stackOf = (failure: unknown): string | null => {
  if (!(failure instanceof Error) || !Predicate.isString(failure.stack)) return null
  let text = failure.stack
  for (const cause of causesOf(failure)) {
    text += `\ncaused by ${cause instanceof Error ? (cause.stack ?? messageOf(cause)) : messageOf(cause)}`
  }
  return text
}

function* causesOf(failure: unknown): Iterable<unknown> {
  let cause = failure instanceof Error ? failure.cause : undefined
  for (let depth = 0; depth < causesMax && cause !== undefined && cause !== null; depth++) {
    yield cause
    cause = cause instanceof Error ? cause.cause : undefined
  }
}

/** What is shown of an error without a message and fields. */
const nothing = "{}"

/** Bounded in depth, length and time, and calls no code of the value. */
const shown = (value: unknown): string =>
  inspect(value, { depth: 2, maxArrayLength: 10, maxStringLength: 200, breakLength: Infinity, customInspect: false })
