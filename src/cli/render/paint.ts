/** Colours by meaning, so that a terminal without them loses nothing: every mark is in the words as well. */
export type Paint = {
  readonly strong: (text: string) => string
  readonly quiet: (text: string) => string
  readonly good: (text: string) => string
  readonly waiting: (text: string) => string
  readonly bad: (text: string) => string
}

export const paintFor = (canColor: boolean): Paint => (canColor ? colored : plain)

const sgr = (code: number) => (text: string) => `\u001B[${code}m${text}\u001B[0m`
const colored: Paint = { strong: sgr(1), quiet: sgr(2), good: sgr(32), waiting: sgr(33), bad: sgr(31) }

const same = (text: string) => text
const plain: Paint = { strong: same, quiet: same, good: same, waiting: same, bad: same }

/** One colour per stage, everywhere. */
export const paintStage = (paint: Paint, stage: string, text: string): string => {
  switch (stage) {
    case "succeeded":
      return paint.good(text)
    case "dead":
    case "parked":
      return paint.bad(text)
    case "cancelled":
    case "expired":
      return paint.quiet(text)
    default:
      return paint.waiting(text)
  }
}
