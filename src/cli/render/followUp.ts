import type { FollowUp } from "../../core/TaskEvent.ts"
import { jsonLine } from "./text.ts"
import { span } from "./time.ts"

export const followUpText = ({ inMs, kind, payload }: FollowUp): string =>
  `${kind}${inMs === 0 ? "" : ` in ${span(inMs)}`}, ${jsonLine(payload)}`
