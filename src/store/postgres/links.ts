import { linksOf } from "../../core/followUps.ts"
import { priorities } from "../../core/Priority.ts"
import type { FollowUp, FollowUps, Follows, Json } from "../../core/TaskEvent.ts"

/** The codec of `event.follow_ups`: what follows a task, and what it follows. */
export type Links = FollowUps & { readonly follows?: Follows }

/** JSON text; null for a task that has no links. */
export const linksText = (task: Links): string | null => {
  const { follows, onDead, onSuccess } = task
  if (follows === undefined && onDead === undefined && onSuccess === undefined) return null
  return JSON.stringify(linksOf(task))
}

/** Total: what is not as we have written it is taken as left out. The auditor reads them without payloads. */
export const linksFrom = (stored: Json | undefined): Links => {
  const links = fieldsOf(stored)
  if (links === null) return noLinks
  const { taskId, version } = fieldsOf(links["follows"]) ?? {}
  return linksOf({
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
