import * as Console from "effect/Console"
import * as Effect from "effect/Effect"

/** Lines that scroll, and below them, on a terminal, one that is always there. */
export type Screen = {
  readonly line: (text: string) => void
  readonly status: (text: string) => void
}

/** @param canAnimate a terminal; without, there is no status and every line is a plain one */
export const make = (canAnimate: boolean): Effect.Effect<Screen> =>
  Effect.map(Console.Console, (console): Screen => {
    if (!canAnimate) return { line: (text) => console.log(text), status: () => {} }
    let last = ""
    const status = (text: string) => {
      last = text
      // Cut at the edge: a status of two lines could not be taken back.
      process.stdout.write(`${toBegin}${eraseRest}${noWrap}${text}${wrap}`)
    }
    return {
      line: (text) => {
        process.stdout.write(`${toBegin}${eraseRest}${text}\n`)
        status(last)
      },
      status
    }
  })

const toBegin = "\r"
const eraseRest = "\u001B[K"
const noWrap = "\u001B[?7l"
const wrap = "\u001B[?7h"
