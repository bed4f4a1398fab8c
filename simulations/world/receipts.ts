/** The effect of a transaction: the receipt that `pay` schedules in `attempt.commit`. */
import { Predicate } from "effect"
import { type Broken, kindOf, streamsById } from "../../src/testing/simulation/Broken.ts"
import { kinds, receipt } from "./handlers.ts"
import { hasLost } from "./Standby.ts"
import type { Outcome } from "./World.ts"

export function* receiptsMatch({ streams }: Outcome): Iterable<Broken> {
  const attemptsOf = new Map<unknown, Array<unknown>>()
  for (const stream of streams) {
    const born = stream.events[0]
    if (born?._tag !== "TaskScheduled" || born.kind !== receipt.kind) continue
    if (!Predicate.hasProperty(born.payload, "of") || !Predicate.hasProperty(born.payload, "attempt")) continue
    const { attempt, of } = born.payload
    attemptsOf.set(of, [...(attemptsOf.get(of) ?? []), attempt])
  }
  for (const stream of streams) {
    if (kindOf(stream) !== kinds.pay.kind) continue
    const { events, taskId } = stream
    const last = events.at(-1)
    const expected = last?._tag === "AttemptSucceeded" ? [last.attempt] : []
    const found = attemptsOf.get(taskId) ?? []
    if (found.join() === expected.join()) continue
    const message = `effects of the attempts [${found.join()}], succeeded is [${expected.join()}]`
    yield { id: "S7", taskId, message }
  }
}

/** What `attempt.commit` told the handler is what the stream says. */
export function* commitsAreAnsweredTruly({ ledger, lost, streams }: Outcome): Iterable<Broken> {
  const byId = streamsById(streams)
  for (const { attempt, commit, taskId } of ledger) {
    if (commit === null || hasLost(lost, taskId)) continue
    const events = byId.get(taskId)?.events ?? []
    const isCommitted = events.some((event) => event._tag === "AttemptSucceeded" && event.attempt === attempt)
    if (isCommitted !== (commit === "committed")) {
      yield { id: "S18", taskId, message: `the commit of attempt ${attempt} was answered with ${commit}` }
    }
  }
}

/** An interrupted attempt whose effects are unknown is asked about before there is another. */
export function* parkedIsAskedAbout({ streams }: Outcome): Iterable<Broken> {
  for (const stream of streams) {
    if (kindOf(stream) !== kinds.mail.kind) continue
    for (const { _tag, version } of stream.events) {
      if (_tag !== "AttemptExpired") continue
      yield { id: "S8", taskId: stream.taskId, message: `version ${version}: to be tried again without asking` }
    }
  }
}
