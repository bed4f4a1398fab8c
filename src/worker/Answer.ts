import type { Reconciliation } from "../core/TaskCommand.ts"
import type { Json } from "../core/TaskEvent.ts"

/** What a reconciler has learned of an interrupted attempt: it has done its work, it has done nothing, or nobody can tell yet. */
export type Answer<Result = unknown> =
  | { readonly _tag: "Done"; readonly result: Result }
  | { readonly _tag: "NotDone" }
  | { readonly _tag: "Unknown" }

/**
 * What is recorded of an answer; null: nothing. Anything else than the three, from a caller whom no compiler has checked, is
 * no answer, and must not end a task.
 */
export const reconciliationOf = <Result>(
  answer: Answer<Result>,
  resultOf: (result: Result) => Json
): Reconciliation | null => {
  switch (answer?._tag) {
    case "Done":
      return { _tag: "Done", result: resultOf(answer.result) }
    case "NotDone":
      return { _tag: "NotDone" }
    case "Unknown":
      return null
    default:
      throw new TypeError("a reconciler answers with Task.done(result), Task.notDone or Task.unknown")
  }
}
