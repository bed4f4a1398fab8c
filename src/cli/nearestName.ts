import { editsBetween } from "../core/edits.ts"

/** Changes of one letter (put in, left out, another, two swapped) that a mistyped name is at most away; and of a short name fewer. */
const editsMax = 2
const lettersPerEdit = 3

/** The name that was most likely meant, if one is close enough to what was typed. */
export const nearestName = (typed: string, names: ReadonlyArray<string>): string | undefined => {
  const most = Math.min(editsMax, Math.floor(typed.length / lettersPerEdit))
  const near = names
    .map((name) => ({ name, edits: editsBetween(typed, name) }))
    .filter(({ edits }) => edits > 0 && edits <= most)
  return near.toSorted((one, other) => one.edits - other.edits || one.name.localeCompare(other.name))[0]?.name
}
