import { linksOf } from "../../core/followUps.ts"
import { priorities } from "../../core/Priority.ts"
import type { FollowUp, FollowUps, Follows, Json, Traced } from "../../core/TaskEvent.ts"
import { spanContextOf } from "../../core/traceparent.ts"

/** The codec of `event.follow_ups`: what follows a task, what it follows, and the span in which it was scheduled. */
export type Links = FollowUps & Traced & { readonly follows?: Follows }

/** JSON text; null for a task that has no links. */
export const linksText = (task: Links): string | null => (isLinked(task) ? JSON.stringify(linksOf(task)) : null)

export const isLinked = ({ follows, onDead, onSuccess, traceparent }: Links): boolean =>
  follows !== undefined || onDead !== undefined || onSuccess !== undefined || traceparent !== undefined

/** Total: what is not as we have written it is taken as left out. The auditor reads them without payloads. */
export const linksFrom = (stored: Json | undefined): Links => {
  const links = fieldsOf(stored)
  if (links === null) return noLinks
  const { taskId, version } = fieldsOf(links["follows"]) ?? {}
  const traceparent = links["traceparent"]
  return linksOf({
    traceparent: typeof traceparent === "string" && spanContextOf(traceparent) !== null ? traceparent : undefined,
    ...followUpsFrom(links),
    follows: typeof taskId === "string" && typeof version === "number" ? { taskId, version } : undefined
  })
}

const noLinks: Links = {}

const followUpsFrom = (fields: Fields): FollowUps => {
  const [onSuccess, onDead] = [followUpFrom(fields["onSuccess"]), followUpFrom(fields["onDead"])]
  return { ...(onSuccess === null ? {} : { onSuccess }), ...(onDead === null ? {} : { onDead }) }
}

const followUpFrom = (stored: Json | undefined): FollowUp | null => {
  const fields = fieldsOf(stored)
  if (fields === null) return null
  const { inMs, kind, payload = null, priority } = fields
  const { fromMs, toMs } = fieldsOf(fields["dueJitter"]) ?? {}
  return {
    kind: typeof kind === "string" ? kind : "",
    priority: priorities.find((known) => known === priority) ?? "normal",
    inMs: typeof inMs === "number" ? inMs : 0,
    dueJitter: typeof fromMs === "number" && typeof toMs === "number" ? { fromMs, toMs } : null,
    payload,
    ...followUpsFrom(fields)
  }
}

type Fields = { readonly [field: string]: Json | undefined }

const fieldsOf = (value: Json | undefined): Fields | null =>
  typeof value === "object" && value !== null && !isList(value) ? value : null

const isList = (value: Json): value is ReadonlyArray<Json> => Array.isArray(value)
