/** The effect of a transaction: the receipt that `pay` schedules in `attempt.commit`. */
import { Predicate } from "effect"
import { type Broken, kindOf } from "./Broken.ts"
import { kinds, receipt } from "./handlers.ts"
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
