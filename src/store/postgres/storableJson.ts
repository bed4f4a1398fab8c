/**
 * jsonb refuses U+0000 and lone surrogates (SQLSTATE 22P05, 22P02). In what a handler leaves behind, an error's text or a
 * result, they become U+FFFD: an attempt must never stay unrecorded because of a strange byte in a stack trace. Payloads
 * are refused with an error before they come here.
 */
export const storableJson = (json: string | null): string | null =>
  json === null || !suspicious.test(json)
    ? json
    : JSON.stringify(JSON.parse(json), (_, value: unknown) => cleanedValue(value))

/** JSON.stringify escapes U+0000 and, being well-formed, lone surrogates; an escaped backslash before them only costs a look. */
const suspicious = /\\u(?:0000|d[89a-f])/i

const cleanedValue = (value: unknown): unknown => {
  if (typeof value === "string") return cleaned(value)
  if (typeof value !== "object" || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [cleaned(name), field]))
}

const cleaned = (text: string): string => text.replaceAll("\u0000", "\uFFFD").toWellFormed()
