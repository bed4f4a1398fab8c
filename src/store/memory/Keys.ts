import { canonicalJson } from "../../core/canonicalJson.ts"
import type { TaskId } from "../../core/TaskId.ts"
import type { NewTask, Scheduled } from "../TaskStore.ts"

/** The idempotency keys of each kind, with the payload they were first used for. Due time and priority do not matter. */
export class Keys {
  readonly #byKind = new Map<string, Map<string, KeyRow>>()

  answerOf({ key, kind, payload }: NewTask): Scheduled | null {
    const row = key === null ? undefined : this.#byKind.get(kind)?.get(key)
    if (row === undefined) return null
    return { _tag: row.payloadText === canonicalJson(payload) ? "Existing" : "KeyConflict", taskId: row.taskId }
  }

  add({ key, kind, payload, taskId }: NewTask): void {
    if (key === null) return
    let ofKind = this.#byKind.get(kind)
    if (ofKind === undefined) this.#byKind.set(kind, (ofKind = new Map()))
    ofKind.set(key, { taskId, payloadText: canonicalJson(payload) })
  }
}

type KeyRow = { readonly taskId: TaskId; readonly payloadText: string }
