import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"

/** Days of history on the command line. */
const isDay = (text: string): boolean => {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text)) return false
  const atMs = Date.parse(`${text}T00:00:00Z`)
  // JavaScript reads 31 February as 3 March.
  return !Number.isNaN(atMs) && new Date(atMs).toISOString().startsWith(text)
}

export const day = Argument.String("day").pipe(
  Argument.withDescription("A day, UTC: 2026-11-15"),
  Argument.filter(isDay, (text) => `${JSON.stringify(text)} is no day; write 2026-11-15`)
)

export const to = Flag.String("to").pipe(
  Flag.withDescription("File to write, such as 2026-11-15.jsonl.gz; its checksum comes beside it"),
  Flag.withMetavar("file")
)
