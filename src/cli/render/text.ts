/** Characters of a payload, result or error that a line for people shows; `--json` has them whole. */
export const shownLengthMax = 200

/**
 * Somebody else's text on one line of this terminal. Control and formatting characters are shown as escapes, because a
 * payload or an error could otherwise recolour, overwrite or hide what stands around it.
 */
export const oneLine = (text: string, lengthMax = shownLengthMax): string => {
  const line = text
    .replaceAll(/\s+/gu, " ")
    .trim()
    .replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, escaped)
  return line.length > lengthMax ? `${line.slice(0, lengthMax - 1)}…` : line
}

/** A JSON value on one line. */
export const jsonLine = (value: unknown, lengthMax = shownLengthMax): string =>
  oneLine(JSON.stringify(value) ?? "null", lengthMax)

/** The zero-width joiner holds emoji together and moves nothing else. */
const escaped = (character: string): string =>
  character === "\u200D" ? character : `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, "0")}`
