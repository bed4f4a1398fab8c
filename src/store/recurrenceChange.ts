import { Result } from "effect"
import { compiledOf } from "../core/recurrence/compiled.ts"
import type { Standing } from "../core/recurrence/revise.ts"
import type { Recurrence, RecurrenceChange } from "./RecurrenceStore.ts"

/** The same for every adapter: what a change makes of a recurrence, before its instants are decided again. */
export const changed = (before: Recurrence, change: RecurrenceChange, atMs: number): Recurrence | null => {
  const next = { ...before, revision: before.revision + 1, revisedAtMs: atMs }
  switch (change._tag) {
    case "Edit":
      return { ...next, followUps: {}, ...change.definition }
    case "Pause":
      return { ...next, pausedAtMs: atMs }
    case "Resume":
      return { ...next, pausedAtMs: null }
    case "Delete":
      return null
  }
}

/** What a revision is known by. */
export type Stood = { readonly digest: string; readonly isPaused: boolean }

/** The revision was as the change wants it. */
export const stoodAs = ({ digest, isPaused }: Stood, change: RecurrenceChange): boolean => {
  switch (change._tag) {
    case "Edit":
      return digest === change.definition.digest
    case "Pause":
      return isPaused
    case "Resume":
      return !isPaused
    case "Delete":
      return false
  }
}

/** Nothing would be different. */
export const standsAs = ({ digest, pausedAtMs }: Recurrence, change: RecurrenceChange): boolean =>
  stoodAs({ digest, isPaused: pausedAtMs !== null }, change)

/** Its rule was compiled when it was made; where it cannot be any more (another time zone database), nothing can be decided. */
export const standingOf = ({ pausedAtMs, policies, rule }: Recurrence): Standing => {
  const { next, openedMs } = Result.getOrThrow(compiledOf(rule))
  return { next, openedMs, policies, isPaused: pausedAtMs !== null }
}
