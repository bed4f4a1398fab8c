import { Predicate, Result } from "effect"
import { isGroup } from "./core/fingerprint.ts"
import * as TaskId from "./core/TaskId.ts"
import { type Stage, stages } from "./core/TaskState.ts"
import { namesOf } from "./core/unknownName.ts"
import type { OptionsRejected } from "./DuetimeError.ts"
import { nameOf, rejected, unknownOption } from "./optionValues.ts"
import type { FindFilter } from "./store/TaskStore.ts"
import type { TaskSummary } from "./TaskView.ts"

export type Find = Omit<FindFilter, "limit"> & {
  /** 1 to 1,000; default 100. */
  readonly limit?: number
}

/** `next` is the `after` of the page behind this one; null: there is none. */
export type Found = { readonly tasks: ReadonlyArray<TaskSummary>; readonly next: string | null }

export const findLimitDefault = 100
export const findLimitMax = 1_000
export const groupWayOut =
  'Give the 12 digits that `duetime dead groups` shows, such as "3f9a0c11d2e4"; only dead letters are in groups'

const names = namesOf<Find>({ stage: true, kind: true, group: true, after: true, limit: true })

/** What the store is asked for, after all of it was read. A filter that is misspelt would find what it should leave out. */
export const findFilterOf = (options: Find): Result.Result<FindFilter, OptionsRejected> => {
  const unknown = unknownOption(options, names)
  if (unknown !== null) return Result.fail(unknown)
  const { after, group, kind, limit = findLimitDefault, stage } = options
  if (!stages.includes(stage)) return Result.fail(rejected("stage", stage, `Give one of ${stages.join(", ")}`))
  if (!Number.isInteger(limit) || limit < 1 || limit > findLimitMax) {
    return Result.fail(rejected("limit", limit, `Give a whole number from 1 to ${findLimitMax}`))
  }
  if (group !== undefined && (stage !== "dead" || !isGroup(group))) {
    return Result.fail(rejected("group", group, groupWayOut))
  }
  if (after !== undefined && !isCursor(after, stage)) {
    return Result.fail(rejected("after", after, "Give the `next` of the page before, whose stage was the same"))
  }
  const filter: FindFilter = { stage, limit, group, after }
  return kind === undefined ? Result.succeed(filter) : Result.map(nameOf("kind", kind), (kind) => ({ ...filter, kind }))
}

/** An id; where tasks come by their due times, that one may stand before it: `1767225600000/<id>`. */
const isCursor = (after: string, stage: Stage): boolean => {
  if (!Predicate.isString(after)) return false
  const slashAt = after.indexOf("/")
  const isDueKnown = slashAt > 0 && stage === "pending" && Number.isFinite(Number(after.slice(0, slashAt)))
  return (slashAt < 0 || isDueKnown) && TaskId.isTaskId(after.slice(slashAt + 1))
}
