import * as Effect from "effect/Effect"
import type { PendingPayload, Vitals } from "../../store/Vitals.ts"
import { eachPage } from "../eachPage.ts"
import { oneLine } from "../render/text.ts"
import { counted } from "../render/table.ts"
import { type Finding, shell } from "./Finding.ts"

/** The check before a deploy: can the code of today read what waits? */

/** Tasks that are named one by one, for each kind. */
const namedMax = 20
const problemLengthMax = 200

/** Why a payload does not fit its kind's schema; null: it does. Undefined: this code does not handle the kind. */
export type Fits = (pending: PendingPayload) => string | null | undefined

export const payloads = Effect.fnUntraced(function* (vitals: Vitals["Service"], module: string, fits: Fits) {
  const kinds = new Map<string, { count: number; readonly shown: Array<{ id: string; problem: string }> }>()
  const lookedAt = yield* eachPage("pending payload", vitals.pendingPayloads, (page) =>
    Effect.sync(() => {
      for (const pending of page) {
        const problem = fits(pending)
        if (problem === null || problem === undefined) continue
        const found = kinds.get(pending.kind) ?? { count: 0, shown: [] }
        found.count++
        if (found.shown.length < namedMax) {
          found.shown.push({ id: pending.taskId, problem: oneLine(problem, problemLengthMax) })
        }
        kinds.set(pending.kind, found)
      }
    })
  )
  const findings = [...kinds].map(([kind, { count, shown }]): Finding => {
    const [first] = shown
    return {
      check: "payloads",
      severity: "problem",
      sentence: `${module} cannot read the payload of ${counted(count, "pending task")} of kind ${kind}, such as ${first?.id}: ${first?.problem}. Each would be a dead letter at its first attempt.`,
      evidence: { kind, count, tasks: shown },
      advice: `Do not deploy it: let the schema read the old form as well. Or end ${count === 1 ? "the task" : "those tasks"}${count > shown.length ? `, of which the first ${shown.length} are named` : ""}.`,
      commands: shown.map(({ id }) => shell(`duetime cancel ${id} --reason 'payload of an older schema'`))
    }
  })
  return { findings, lookedAt }
})
