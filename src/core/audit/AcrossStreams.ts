import { fold } from "../evolve.ts"
import type { TaskId } from "../TaskId.ts"
import { isEnded } from "../TaskState.ts"
import type { AuditedStream } from "./AuditedStream.ts"

export type CrossFinding = { readonly invariant: "S1" | "S15"; readonly taskId: TaskId; readonly message: string }

/**
 * What only all streams together can show: no event id in two of them (S1), and no two tasks that lived at the same time
 * under one kind and key (S15). Memory grows with the number of events: for tests and simulations.
 */
export class AcrossStreams {
  readonly #taskIdOfEvent = new Map<string, TaskId>()
  readonly #lives = new Map<string, Array<Life>>()

  check(stream: AuditedStream): ReadonlyArray<CrossFinding> {
    return [...this.#checkEventIds(stream), ...this.#checkKey(stream)]
  }

  #checkEventIds({ events, taskId }: AuditedStream): ReadonlyArray<CrossFinding> {
    const findings: Array<CrossFinding> = []
    for (const { eventId } of events) {
      const other = this.#taskIdOfEvent.get(eventId)
      if (other === undefined) this.#taskIdOfEvent.set(eventId, taskId)
      else if (other !== taskId) {
        findings.push({ invariant: "S1", taskId, message: `event id ${eventId} stands in the stream of ${other}, too` })
      }
    }
    return findings
  }

  #checkKey(stream: AuditedStream): ReadonlyArray<CrossFinding> {
    const { taskId } = stream
    const born = stream.events[0]
    if (born?._tag !== "TaskScheduled" || born.key === null) return []
    const life = { taskId, bornAtMs: born.atMs, endedAtMs: endedAtMsOf(stream) }
    const name = `${born.kind}\n${born.key}`
    const others = this.#lives.get(name) ?? []
    this.#lives.set(name, [...others, life])
    return others
      .filter((other) => life.bornAtMs < other.endedAtMs && other.bornAtMs < life.endedAtMs)
      .map((other) => ({
        invariant: "S15",
        taskId,
        message: `lives at the same time as ${other.taskId} under the key ${born.key} of ${born.kind}`
      }))
  }
}

type Life = { readonly taskId: TaskId; readonly bornAtMs: number; readonly endedAtMs: number }

const endedAtMsOf = ({ events }: AuditedStream): number => {
  const state = fold(events)
  const last = events.at(-1)
  return state !== null && last !== undefined && isEnded(state.stage) ? last.atMs : Number.POSITIVE_INFINITY
}
