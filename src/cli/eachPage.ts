import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import type { Page } from "../store/Projections.ts"
import { counted } from "./render/table.ts"

/** A line on stderr every so many things read. */
const progressEvery = 50_000

/** Reads page after page to the end; only one is held in memory. */
export const eachPage = Effect.fnUntraced(function* <A, E, E2 = never>(
  thing: string,
  read: (after: string | null) => Effect.Effect<Page<A>, E>,
  use: (items: ReadonlyArray<A>) => Effect.Effect<void, E2>
) {
  let count = 0
  let after: string | null = null
  do {
    const page: Page<A> = yield* read(after)
    yield* use(page.items)
    const told = Math.floor(count / progressEvery)
    count += page.items.length
    if (Math.floor(count / progressEvery) > told) yield* Console.error(`${counted(count, thing)} so far ...`)
    after = page.next
  } while (after !== null)
  return count
})
