import type { Json } from "./TaskEvent.ts"

/**
 * JSON text with the keys of every object sorted, so that equal payloads have equal text however they were written.
 * The digest of an idempotency key is taken from it.
 */
export const canonicalJson = (value: Json): string => {
  if (value === null || typeof value !== "object") return JSON.stringify(value)
  if (isList(value)) return `[${value.map(canonicalJson).join(",")}]`
  const members = Object.keys(value)
    .toSorted()
    .map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key] ?? null)}`)
  return `{${members.join(",")}}`
}

/** `Array.isArray` does not narrow a readonly list away from the object's type. */
const isList = (value: Json): value is ReadonlyArray<Json> => Array.isArray(value)
