import { canonicalJson } from "../../core/canonicalJson.ts"
import type { TaskId } from "../../core/TaskId.ts"
import type { NewTask, Scheduled } from "../TaskStore.ts"

/** The idempotency keys of each kind, with the payload they were first used for. Due time and priority do not matter. */
export class Keys {
  readonly #byKind = new Map<string, Map<string, KeyRow>>()
  readonly #isFree: (holder: KeyHolder) => boolean

  /** @param isFree whether the holder has ended so long ago that another task may have its key */
  constructor(isFree: (holder: KeyHolder) => boolean) {
    this.#isFree = isFree
  }

  answerOf({ key, kind, payload }: NewTask): Scheduled | null {
    const row = key === null ? undefined : this.#byKind.get(kind)?.get(key)
    if (row === undefined || this.#isFree(row)) return null
    return { _tag: row.payloadText === canonicalJson(payload) ? "Existing" : "KeyConflict", taskId: row.taskId }
  }

  add({ key, keyKeptMs = null, kind, payload, taskId }: NewTask): void {
    if (key === null) return
    let ofKind = this.#byKind.get(kind)
    if (ofKind === undefined) this.#byKind.set(kind, (ofKind = new Map()))
    ofKind.set(key, { taskId, keptMs: keyKeptMs, payloadText: canonicalJson(payload) })
  }
}

export type KeyHolder = { readonly taskId: TaskId; readonly keptMs: number | null }
type KeyRow = KeyHolder & { readonly payloadText: string }
