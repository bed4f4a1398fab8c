/** What a client was told, held against the streams: answers to wishes, pauses and caps. */
import { machine } from "../../src/core/machine.ts"
import { evolve } from "../../src/core/evolve.ts"
import type { CommandTag } from "../../src/core/TaskCommand.ts"
import type { TaskState } from "../../src/core/TaskState.ts"
import type { StoredStream } from "../../src/store/TaskStore.ts"
import { type Broken, kindOf, streamsById } from "../../src/testing/simulation/Broken.ts"
import type { Told } from "./client.ts"
import { capsOfPaced, kinds } from "./handlers.ts"
import { isLost } from "./Standby.ts"
import type { Outcome } from "./World.ts"

const commandOf: { readonly [Wish in Told["wish"]]: CommandTag } = {
  cancel: "Cancel",
  reschedule: "Reschedule",
  reprioritise: "Reprioritise",
  runNow: "RunNow",
  redrive: "Redrive"
}

/** An answer is justified by a state that the task was in between the asking and the telling. */
export function* wishesAreAnsweredTruly({ lost, sinceStartMsOf, streams, told }: Outcome): Iterable<Broken> {
  const byId = streamsById(streams)
  for (const { askedAtMs, id, isGone, stage, toldAtMs, wish } of told) {
    if (isLost(lost, askedAtMs, toldAtMs) || (isGone && lost.some(({ taskIds }) => taskIds.has(id)))) continue
    const states = statesBetween(byId.get(id), askedAtMs, toldAtMs, sinceStartMsOf)
    const isTrue = states.some((state) => (stage === null ? mayRefuse(state, wish) : state.stage === stage))
    if (isTrue) continue
    const were = states.map((state) => state.stage).join(", ")
    const answer = stage === null ? "refused" : `answered with ${stage}`
    yield { id: "S18", taskId: id, message: `${wish} was ${answer}, meanwhile the task was ${were}` }
  }
}

const mayRefuse = (state: TaskState, wish: Told["wish"]): boolean =>
  state.expiresAtMs !== null || !machine.some(([from, command]) => from === state.stage && command === commandOf[wish])

/** How long before its answer a pause may have been decided. */
const askedMsMax = 10

/** Events are kept to the microsecond. */
const precisionMs = 0.01

const statesBetween = (
  stream: StoredStream | undefined,
  fromMs: number,
  untilMs: number,
  sinceStartMsOf: Outcome["sinceStartMsOf"]
): ReadonlyArray<TaskState> => {
  const states: Array<TaskState> = []
  let before: TaskState | null = null
  for (const event of stream?.events ?? []) {
    const atMs = sinceStartMsOf(event)
    if (before !== null && atMs >= fromMs - precisionMs) states.push(before)
    if (atMs > untilMs + precisionMs) return states
    before = evolve(before, event)
  }
  return before === null ? states : [...states, before]
}

export function* pausesHold({ lost, paused, sinceStartMsOf, streams }: Outcome): Iterable<Broken> {
  for (const { fromMs, kind, untilMs } of paused) {
    if (isLost(lost, fromMs - askedMsMax, fromMs)) continue
    for (const stream of streams) {
      if (kindOf(stream) !== kind) continue
      for (const event of stream.events) {
        const { _tag } = event
        if (_tag !== "TaskClaimed" && _tag !== "AttemptStarted") continue
        const sinceStartMs = sinceStartMsOf(event)
        if (sinceStartMs <= fromMs + precisionMs || sinceStartMs >= untilMs - precisionMs) continue
        yield { id: "S22", taskId: stream.taskId, message: `${_tag} at ${sinceStartMs} ms, while ${kind} is paused` }
      }
    }
  }
}

export function* claimsStayWithinCaps({ fired, lost, sinceStartMsOf, streams }: Outcome): Iterable<Broken> {
  // Until they are announced again, within a minute, the default decides, which has none.
  if (lost.some(({ unannounced }) => unannounced.has(kinds.paced.kind))) return
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
      if (holds !== isHeld) changes.push({ atMs: sinceStartMsOf(event), by: holds ? 1 : -1 })
      isHeld = holds
    }
  }
  let heldCount = 0
  for (const { atMs, by } of changes.toSorted((one, other) => one.atMs - other.atMs || one.by - other.by)) {
    heldCount += by
    if (heldCount > capsOfPaced.concurrency) {
      yield { id: "S23", taskId: null, message: `${heldCount} tasks of sim.paced are held at ${atMs} ms` }
    }
  }
  // Seconds are counted by the database's clock: one that is set counts others.
  if (fired.has("DatabaseClockJump@instant")) return
  claimsAtMs.sort((one, other) => one - other)
  for (const [index, atMs] of claimsAtMs.entries()) {
    const later = claimsAtMs[index + capsOfPaced.perSecond]
    if (later === undefined || later - atMs >= 1_000 - roundingMs) continue
    const message = `${capsOfPaced.perSecond + 1} claims of sim.paced within ${later - atMs} ms`
    yield { id: "S23", taskId: null, message }
  }
}

const roundingMs = 2
