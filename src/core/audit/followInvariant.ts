import { followUpOf } from "../followUps.ts"
import type { TaskEvent } from "../TaskEvent.ts"
import { nominalDueAtMsOf, type TaskId } from "../TaskId.ts"
import type { AuditedStream } from "./AuditedStream.ts"

/**
 * S20: every end has exactly the follow-up that its task was scheduled with, and no follow-up is without its end. About two streams at
 * once, but each names the other: an end's follow-up by the id that follows from its event, a follow-up's end by task and version.
 * So a page of streams is judged by itself and those it names, in bounded memory.
 */
export type FollowFinding = {
  readonly invariant: "S20"
  readonly taskId: TaskId
  readonly version: number | null
  readonly message: string
}

export const followSentence =
  "Every end has exactly the follow-up it was scheduled with, and no follow-up is without its end."

/** The streams that are named by this one. */
export const linkedIdsOf = (stream: AuditedStream): ReadonlyArray<TaskId> => {
  const [born] = stream.events
  if (born?._tag !== "TaskScheduled") return []
  const followUpIds = born.onSuccess === undefined && born.onDead === undefined ? [] : expectedOf(born, stream)
  return [...(born.follows === undefined ? [] : [born.follows.taskId]), ...followUpIds.map(({ taskId }) => taskId)]
}

/**
 * @param linked streams by id, of those this one names; of tasks that have none, nothing
 * @param historyFromMs history of tasks born for earlier instants may have been retired: that it is missing says nothing
 */
export const auditFollowUps = (
  stream: AuditedStream,
  linked: (taskId: TaskId) => AuditedStream | undefined,
  historyFromMs = Number.NEGATIVE_INFINITY
): ReadonlyArray<FollowFinding> => {
  const [born] = stream.events
  if (born?._tag !== "TaskScheduled") return []
  const findings: Array<FollowFinding> = []
  const find = (version: number, message: string) =>
    findings.push({ invariant: "S20", taskId: stream.taskId, version, message })
  const isKept = (taskId: TaskId) => nominalDueAtMsOf(taskId) >= historyFromMs
  if (born.follows !== undefined) {
    const { taskId, version } = born.follows
    const first = linked(taskId)
    if (first !== undefined || isKept(taskId)) {
      const end = first?.events.find((event) => event.version === version)
      const ours = first === undefined || end === undefined ? null : followUpAfter(first, end)
      if (ours?.taskId !== stream.taskId) {
        find(1, `follows version ${version} of ${taskId}, which is no end that it follows`)
      }
    }
  }
  for (const expected of expectedOf(born, stream)) {
    const { version } = expected.follows
    const found = linked(expected.taskId)
    const first = found?.events[0]
    if (first === undefined) {
      if (isKept(expected.taskId)) find(version, `the end was to be followed by ${expected.taskId}, which is not there`)
      continue
    }
    const wrong = differenceOf(expected, first)
    if (wrong !== null) find(version, `is followed by ${expected.taskId}, whose ${wrong}`)
  }
  return findings
}

/** Keeps the streams that are linked to others, and judges them together: for tests and simulations. */
export class LinkedStreams {
  readonly #byId = new Map<TaskId, AuditedStream>()

  add(stream: AuditedStream): void {
    const [born] = stream.events
    if (born?._tag === "TaskScheduled" && (born.follows ?? born.onSuccess ?? born.onDead) !== undefined) {
      this.#byId.set(stream.taskId, stream)
    }
  }

  get count(): number {
    return this.#byId.size
  }

  audit(): ReadonlyArray<FollowFinding> {
    return [...this.#byId.values()].flatMap((stream) => auditFollowUps(stream, (taskId) => this.#byId.get(taskId)))
  }
}

type Expected = NonNullable<ReturnType<typeof followUpOf>>

const expectedOf = (born: Extract<TaskEvent, { _tag: "TaskScheduled" }>, { events }: AuditedStream) =>
  events.flatMap((event): ReadonlyArray<Expected> => {
    const expected = followUpOf(born, event)
    return expected === null ? [] : [expected]
  })

const followUpAfter = ({ events }: AuditedStream, end: TaskEvent): Expected | null => {
  const [born] = events
  return born?._tag === "TaskScheduled" ? followUpOf(born, end) : null
}

/** Payloads may be left out where streams are read for an audit, and are not compared. */
const differenceOf = (expected: Expected, found: TaskEvent): string | null => {
  if (found._tag !== "TaskScheduled") return `first event is ${found._tag}`
  const { follows } = found
  if (follows?.taskId !== expected.follows.taskId || follows.version !== expected.follows.version) {
    return `history says that it follows ${follows === undefined ? "nothing" : `version ${follows.version} of ${follows.taskId}`}`
  }
  for (const name of compared) {
    if (found[name] !== expected[name]) return `${name} is ${found[name]} and not ${expected[name]}`
  }
  return null
}

const compared = ["kind", "priority", "dueAtMs", "eventId"] as const
