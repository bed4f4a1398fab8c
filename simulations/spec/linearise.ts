/** Whether what was done at the same time could have been done one after the other: by trying every order. */
import { differenceOf } from "./difference.ts"
import type { Operation } from "./Operation.ts"
import { type Piece, piecesOf } from "./pieces.ts"
import type { SpecDatabase } from "./SpecDatabase.ts"

/** An operation that was begun and answered, in steps of the interleaving. */
export type Done = {
  readonly operation: Operation
  readonly answer: unknown
  readonly begunAt: number
  readonly answeredAt: number
}

/** Worlds of the spec that orders have led to and that look as the real one does; they may differ in what does not show. */
const worldsMax = 8

/**
 * Orders in which the spec gives every answer that was given, and ends where the store did. What was answered before another
 * operation began comes before it.
 *
 * @returns the worlds that they end in; none: it is not linearizable
 */
export const worldsOf = (
  before: SpecDatabase,
  all: ReadonlyArray<Done>,
  look: unknown
): ReadonlyArray<SpecDatabase> => {
  const steps = all.flatMap((done, of) =>
    piecesOf(done.operation, done.answer).map((piece): Step => ({ ...done, of, piece }))
  )
  const worlds = new Map<string, SpecDatabase>()
  const seen = new Set<string>()
  const walk = (spec: SpecDatabase, left: ReadonlyArray<Step>): void => {
    if (worlds.size >= worldsMax) return
    if (left.length === 0) {
      if (differenceOf(spec.look(), look) === null) worlds.set(fingerprint(spec), spec)
      return
    }
    // The same world with the same steps left leads nowhere else.
    const place = `${left.map(({ of, piece }) => `${of}:${JSON.stringify(piece.answer)}`).join("|")} ${fingerprint(spec)}`
    if (seen.has(place)) return
    seen.add(place)
    for (const step of left) {
      if (left.some((other) => other !== step && other.answeredAt < step.begunAt)) continue
      const next = spec.clone()
      if (differenceOf(step.piece.apply(next), step.piece.answer) !== null) continue
      walk(
        next,
        left.filter((other) => other !== step)
      )
    }
  }
  walk(before, steps)
  return Array.from(worlds.values())
}

type Step = Done & { readonly of: number; readonly piece: Piece }

const fingerprint = (spec: SpecDatabase): string =>
  JSON.stringify([
    spec.look(),
    spec.sessions,
    Array.from(spec.keys),
    Array.from(spec.asks),
    Array.from(spec.announced),
    Array.from(spec.pausedKinds),
    Array.from(spec.pausedQueues)
  ])
