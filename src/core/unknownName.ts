/**
 * Which field of a caller's object nobody reads. JavaScript that is run without a type checker would have a misspelt option
 * ignored, and the default taken: another time zone, no delay, more attempts.
 */

import { editsBetween } from "./edits.ts"

/** The names of an object's fields. Held against its type, so that one that is added there is known here. */
export const namesOf = <Options>(names: Readonly<Record<NameOf<Options>, true>>): ReadonlySet<string> =>
  new Set(Object.keys(names))

/** Of every member of a union. */
type NameOf<Options> = Options extends unknown ? keyof Options & string : never

export type UnknownName = { readonly name: string; readonly value: unknown; readonly wayOut: string }

/**
 * The first field of a name that is not known, or null; a field that is undefined is as good as absent. What is no object
 * at all is a fault as a whole. It is asked for each of a million tasks: nothing is made unless there is a fault.
 *
 * @param path of the object within the options, as "retry"; without: it is the options
 */
export const unknownNameOf = (options: object, known: ReadonlySet<string>, path?: string): UnknownName | null => {
  if (typeof options !== "object" || options === null) {
    return { name: path ?? "options", value: options, wayOut: `Give an object, whose fields are ${listOf(known)}` }
  }
  for (const name in options) {
    if (known.has(name) || !Object.hasOwn(options, name)) continue
    const value: unknown = Reflect.get(options, name)
    if (value === undefined) continue
    const shown = name.slice(0, lettersMax)
    return { name: path === undefined ? shown : `${path}.${shown}`, value, wayOut: wayOutOf(name, known) }
  }
  return null
}

const listOf = (known: ReadonlySet<string>): string => [...known].join(", ")

const wayOutOf = (name: string, known: ReadonlySet<string>): string => {
  const nearest = nearestOf(name, known)
  const question = nearest === null ? "" : `: did you mean ${nearest}?`
  return `There is no such option${question === "" ? "." : question} The options are ${listOf(known)}`
}

/** Letters of a name that are shown and compared; no option's is longer. */
const lettersMax = 30
/** Letters that are changed, left out or put in by a slip of the hand: one in three, and not more than two. */
const slipsMax = (name: string): number => Math.min(2, Math.floor(name.length / 3))
/** Letters at the beginning by which one is known: "retries" for "retry". */
const beginningMin = 4

/** What was probably meant: the most similar name that differs by a slip, ends it ("timeZone") or begins like it ("retries"). */
const nearestOf = (given: string, known: ReadonlySet<string>): string | null => {
  const letters = given.slice(0, lettersMax).toLowerCase()
  let nearest: { readonly name: string; readonly edits: number } | null = null
  for (const name of known) {
    const other = name.toLowerCase()
    const edits = editsBetween(letters, other)
    const isAlike = edits <= slipsMax(other) || letters.endsWith(other) || beginsAlike(letters, other)
    if (isAlike && (nearest === null || edits < nearest.edits)) nearest = { name, edits }
  }
  return nearest?.name ?? null
}

const beginsAlike = (one: string, other: string): boolean =>
  other.length >= beginningMin && one.startsWith(other.slice(0, beginningMin))
