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

/** Optimal string alignment: row by row, the fewest edits from each beginning of one to each beginning of the other. */
const editsBetween = (from: string, to: string): number => {
  let before: ReadonlyArray<number> = []
  let last: ReadonlyArray<number> = Array.from({ length: to.length + 1 }, (_, at) => at)
  for (let row = 1; row <= from.length; row++) {
    const current: Array<number> = [row]
    for (let at = 1; at <= to.length; at++) {
      const isSame = from[row - 1] === to[at - 1]
      const isSwapped = row > 1 && at > 1 && from[row - 1] === to[at - 2] && from[row - 2] === to[at - 1]
      current.push(
        Math.min(
          (last[at] ?? 0) + 1,
          (current[at - 1] ?? 0) + 1,
          (last[at - 1] ?? 0) + (isSame ? 0 : 1),
          isSwapped ? (before[at - 2] ?? 0) + 1 : Infinity
        )
      )
    }
    before = last
    last = current
  }
  return last[to.length] ?? 0
}
