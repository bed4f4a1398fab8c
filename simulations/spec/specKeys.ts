import type { Json } from "../../src/core/TaskEvent.ts"
import type { NewOne } from "./Operation.ts"
import type { SpecDatabase } from "./SpecDatabase.ts"
import type { Name } from "./facts.ts"

/** Who holds a key, with what, and how long it is kept after the holder's end; null: as long as its history. */
export type Known = { readonly task: Name; readonly payload: Json; readonly keptMs: number | null }

export const keyOf = (kind: string, key: string): string => `${kind}/${key}`

/** Null: the key is free, or there is none. The payload decides, not the time or the priority. */
export const keyAnswer = (spec: SpecDatabase, { key, kind, payload }: NewOne): unknown => {
  const known = key === null ? undefined : spec.keys.get(keyOf(kind, key))
  if (known === undefined || isFree(spec, known)) return null
  return { tag: sameJson(known.payload, payload) ? "Existing" : "KeyConflict", task: known.task }
}

/** Never while the holder lives, and a dead letter does. */
const isFree = (spec: SpecDatabase, { keptMs, task }: Known): boolean => {
  const { stage } = spec.task(task)
  if (keptMs === null || (stage !== "succeeded" && stage !== "cancelled" && stage !== "expired")) return false
  const endedAtMs = spec.streams.get(task)?.facts.at(-1)?.atMs ?? Infinity
  return endedAtMs + keptMs <= spec.nowMs
}

/** The order of fields is nobody's. */
const sameJson = (one: Json, other: Json): boolean => textOf(one) === textOf(other)

const textOf = (json: Json): string =>
  JSON.stringify(json, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).toSorted(([one], [other]) => (one < other ? -1 : 1)))
      : value
  )
