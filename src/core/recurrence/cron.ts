import { maxMs, minMs, secondMs } from "./bounds.ts"
import { type Fields, firstMatch } from "./fields.ts"
import { type Stretch, type Zone } from "./Zone.ts"

/**
 * The fires of a cron expression in a zone. This is the one place of the rule at a change of the clocks.
 *
 * A change of the clocks leaves some local times out (the gap) or brings some twice (the fold). Rules are of two sorts,
 * as in Vixie cron and cronie (`MIN_STAR`, `HR_STAR`): if the second, minute or hour begins with `*` or is an open step
 * (`0/15`), the rule is interval-like and runs through in real time: every local time that comes fires as often as it
 * comes, and those left out do not. Any other rule names times of day, and its policies say what becomes of them.
 */
export type GapPolicy = "skip" | "shift" | "end"
export type FoldPolicy = "first" | "second" | "both"

/** The first fire at or after an instant, or null if there is none before `maxMs`. */
export const firstFire = (
  fields: Fields,
  zone: Zone,
  gap: GapPolicy,
  fold: FoldPolicy,
  atMs: number
): number | null => {
  const [gapPolicy, foldPolicy] = fields.isIntervalLike ? (["skip", "both"] as const) : [gap, fold]
  let fromMs = Math.max(minMs, Math.ceil(atMs / secondMs) * secondMs)
  while (fromMs < maxMs) {
    const stretch = zone.stretchAt(fromMs)
    const moved = firstOutOfGap(fields, stretch, gapPolicy, fromMs)
    const plain = firstInStretch(fields, stretch, foldPolicy, fromMs)
    const first = moved === null ? plain : plain === null ? moved : Math.min(moved, plain)
    if (first !== null) return first < maxMs ? first : null
    fromMs = stretch.endMs
  }
  return null
}

/** Local times of the stretch itself, without those that the policy gives to its neighbour. */
const firstInStretch = (fields: Fields, stretch: Stretch, fold: FoldPolicy, fromMs: number): number | null => {
  const { endMs, offsetAfterMs, offsetBeforeMs, offsetMs, startMs } = stretch
  // Local times up to the first are of the stretch before too, from the second on they are of the one after too.
  const localFromMs =
    fold === "first" ? Math.max(fromMs + offsetMs, startMs + Math.max(offsetBeforeMs, offsetMs)) : fromMs + offsetMs
  const localBeforeMs = endMs + (fold === "second" ? Math.min(offsetAfterMs, offsetMs) : offsetMs)
  const localMs = firstMatch(fields, localFromMs, localBeforeMs)
  return localMs === null ? null : localMs - offsetMs
}

/** Local times that the change at the stretch's start has left out: `[startMs + offsetBeforeMs, startMs + offsetMs)`. */
const firstOutOfGap = (fields: Fields, stretch: Stretch, gap: GapPolicy, fromMs: number): number | null => {
  const { offsetBeforeMs, offsetMs, startMs } = stretch
  if (gap === "skip" || offsetMs <= offsetBeforeMs) return null
  const gapEndsMs = startMs + offsetMs
  if (gap === "end")
    return fromMs <= startMs && firstMatch(fields, startMs + offsetBeforeMs, gapEndsMs) !== null ? startMs : null
  // Moved by the length of the gap: the same as reading it with the offset before.
  const localMs = firstMatch(fields, fromMs + offsetBeforeMs, gapEndsMs)
  return localMs === null ? null : localMs - offsetBeforeMs
}
