/** What a client was told, held against the streams: answers to wishes, pauses and caps. */
import { machine } from "../../src/core/machine.ts"
import { evolve } from "../../src/core/evolve.ts"
import type { CommandTag } from "../../src/core/TaskCommand.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import type { StoredStream } from "../../src/store/TaskStore.ts"
import { type Broken, kindOf, streamsById } from "../../src/testing/simulation/Broken.ts"
import type { Told } from "./client.ts"
import { capsOfPaced, kinds } from "./handlers.ts"
import { epochMs } from "../../src/testing/simulation/Kernel.ts"
import type { Outcome } from "./World.ts"

const commandOf: { readonly [Wish in Told["wish"]]: CommandTag } = {
  cancel: "Cancel",
  reschedule: "Reschedule",
  reprioritise: "Reprioritise",
  runNow: "RunNow",
  redrive: "Redrive"
}

/** An answer is justified by a state that the task was in between the asking and the telling. */
export function* wishesAreAnsweredTruly({ streams, told }: Outcome): Iterable<Broken> {
  const byId = streamsById(streams)
  for (const { askedAtMs, id, stage, toldAtMs, wish } of told) {
    const states = statesBetween(byId.get(id), epochMs + askedAtMs, epochMs + toldAtMs)
    const isTrue = states.some((state) => (stage === null ? mayRefuse(state, wish) : state.stage === stage))
    if (isTrue) continue
    const were = states.map((state) => state.stage).join(", ")
    const answer = stage === null ? "refused" : `answered with ${stage}`
    yield { id: "S18", taskId: id, message: `${wish} was ${answer}, meanwhile the task was ${were}` }
  }
}

const mayRefuse = (state: TaskState, wish: Told["wish"]): boolean =>
  state.expiresAtMs !== null || !machine.some(([from, command]) => from === state.stage && command === commandOf[wish])

/** Events are kept to the microsecond. */
const precisionMs = 0.01

const statesBetween = (stream: StoredStream | undefined, fromMs: number, untilMs: number): ReadonlyArray<TaskState> => {
  const states: Array<TaskState> = []
  let before: TaskState | null = null
  for (const event of stream?.events ?? []) {
    if (before !== null && event.atMs >= fromMs - precisionMs) states.push(before)
    if (event.atMs > untilMs + precisionMs) return states
    before = evolve(before, event)
  }
  return before === null ? states : [...states, before]
}

export function* pausesHold({ paused, streams }: Outcome): Iterable<Broken> {
  for (const { fromMs, kind, untilMs } of paused) {
    for (const stream of streams) {
      if (kindOf(stream) !== kind) continue
      for (const { _tag, atMs } of stream.events) {
        if (_tag !== "TaskClaimed" && _tag !== "AttemptStarted") continue
        const sinceStartMs = atMs - epochMs
        if (sinceStartMs <= fromMs + precisionMs || sinceStartMs >= untilMs - precisionMs) continue
        yield { id: "S22", taskId: stream.taskId, message: `${_tag} at ${sinceStartMs} ms, while ${kind} is paused` }
      }
    }
  }
}

export function* claimsStayWithinCaps({ streams }: Outcome): Iterable<Broken> {
  const claimsAtMs: Array<number> = []
  const changes: Array<{ readonly atMs: number; readonly by: 1 | -1 }> = []
  for (const stream of streams) {
    if (kindOf(stream) !== kinds.paced.kind) continue
    let isHeld = false
    let before: TaskState | null = null
    for (const event of stream.events) {
      before = evolve(before, event)
      const holds = before.stage === "claimed" || before.stage === "running"
      if (event._tag === "TaskClaimed") claimsAtMs.push(event.atMs)
      if (holds !== isHeld) changes.push({ atMs: event.atMs, by: holds ? 1 : -1 })
      isHeld = holds
    }
  }
  let heldCount = 0
  for (const { atMs, by } of changes.toSorted((one, other) => one.atMs - other.atMs || one.by - other.by)) {
    heldCount += by
    if (heldCount > capsOfPaced.concurrency) {
      yield { id: "S23", taskId: null, message: `${heldCount} tasks of sim.paced are held at ${atMs - epochMs} ms` }
    }
  }
  claimsAtMs.sort((one, other) => one - other)
  for (const [index, atMs] of claimsAtMs.entries()) {
    const later = claimsAtMs[index + capsOfPaced.perSecond]
    if (later === undefined || later - atMs >= 1_000 - roundingMs) continue
    const message = `${capsOfPaced.perSecond + 1} claims of sim.paced within ${later - atMs} ms`
    yield { id: "S23", taskId: null, message }
  }
}

const roundingMs = 2
