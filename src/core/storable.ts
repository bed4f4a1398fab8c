import { Result } from "effect"
import type { Json } from "./TaskEvent.ts"

/**
 * What a payload or result must be so that every store keeps it unchanged: plain JSON, no deeper than a limit, and
 * without the two things PostgreSQL's jsonb refuses although JSON allows them, U+0000 and lone surrogates. Checked
 * where a value comes in, because later it would poison the whole batch it is written with.
 */
export type Unstorable = {
  /** Where in the value, as `$.user.names[2]`. */
  readonly path: string
  readonly reason: string
}

/** Levels of arrays and objects. JSON.stringify, the fold's comparisons and jsonb are recursive; 100 is far from any stack's end. */
export const jsonDepthMax = 100
/** Characters of a path in an `Unstorable`. */
const pathLengthMax = 200

/** A copy of the value as JSON, with fields that are `undefined` left out as `JSON.stringify` does, or why there is none. */
export const toStorable = (value: unknown): Result.Result<Json, Unstorable> => {
  const path: Array<string | number> = []
  try {
    return Result.succeed(copyOf(value, path))
  } catch (error) {
    // Anything but a refusal comes from a getter or proxy of the caller's.
    const reason = error instanceof Refusal ? error.message : "reading it threw an error"
    return Result.fail({ path: toStorableText(pathText(path), pathLengthMax), reason })
  }
}

/** Whether a text can be stored: no U+0000, no lone surrogate. */
export const isStorableText = (text: string): boolean => text.isWellFormed() && !text.includes("\u0000")

/** The text with everything that cannot be stored replaced by U+FFFD, cut to a length in UTF-16 units. */
export const toStorableText = (text: string, lengthMax: number): string =>
  (text.length > lengthMax ? `${text.slice(0, lengthMax - 1)}…` : text).replaceAll("\u0000", "\uFFFD").toWellFormed()

class Refusal extends Error {}

/** `path` names the place being copied; it is left as it is when a refusal is thrown. */
const copyOf = (value: unknown, path: Array<string | number>): Json => {
  switch (typeof value) {
    case "string":
      if (!value.isWellFormed()) throw new Refusal("a text with a lone surrogate (half of an emoji, say)")
      if (value.includes("\u0000")) throw new Refusal("a text with the character U+0000")
      return value
    case "number":
      if (!Number.isFinite(value)) throw new Refusal(`${value} is not a JSON number`)
      return value
    case "boolean":
      return value
    case "undefined":
      throw new Refusal("undefined is not a JSON value")
    case "object":
      if (value === null) return null
      if (path.length >= jsonDepthMax) throw new Refusal(`nested deeper than ${jsonDepthMax} levels`)
      return Array.isArray(value) ? copyOfArray(value, path) : copyOfObject(value, path)
    default:
      throw new Refusal(`a ${typeof value} is not a JSON value`)
  }
}

const copyOfArray = (values: ReadonlyArray<unknown>, path: Array<string | number>): Json => {
  const copy: Array<Json> = []
  for (let index = 0; index < values.length; index++) {
    path.push(index)
    copy.push(copyOf(values[index], path))
    path.pop()
  }
  return copy
}

const copyOfObject = (value: object, path: Array<string | number>): Json => {
  if (!isPlain(value)) {
    throw new Refusal(
      `${classNameOf(value)} is not a plain object; encode it as text, numbers, arrays or plain objects`
    )
  }
  const copy: Record<string, Json> = {}
  for (const key of Object.keys(value)) {
    const field = value[key]
    if (field === undefined) continue
    path.push(key)
    if (!isStorableText(key)) throw new Refusal("a field name with U+0000 or a lone surrogate")
    const copied = copyOf(field, path)
    // Assigning it would set the prototype; defined, it stays plain data.
    if (key === "__proto__") Object.defineProperty(copy, key, { ...asData, value: copied })
    else copy[key] = copied
    path.pop()
  }
  return copy
}

const asData = { configurable: true, enumerable: true, writable: true }

const isPlain = (value: object): value is Readonly<Record<string, unknown>> => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype
}

const classNameOf = (value: object): string => {
  const name: unknown = value.constructor?.name
  return typeof name === "string" && name.length > 0 ? `a ${name}` : "an object of a class"
}

const pathText = (path: ReadonlyArray<string | number>): string =>
  path.reduce<string>(
    (text, step) =>
      typeof step === "number"
        ? `${text}[${step}]`
        : /^[A-Za-z_$][\w$]*$/.test(step)
          ? `${text}.${step}`
          : `${text}[${JSON.stringify(step)}]`,
    "$"
  )
