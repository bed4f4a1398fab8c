/**
 * S19: real-time order per task. Versions make it linear: an operation whose answer came before another was asked for is of a smaller
 * version, or of the same one if the other has only looked. That this is all that linearizability asks of a stream, with writers that
 * nobody recorded between, is held against a search through all orders in a test.
 */
import type { Broken } from "../../src/testing/simulation/Broken.ts"
import type { Operation } from "./operations.ts"
import { hasLost } from "./Standby.ts"
import type { Outcome } from "./World.ts"

export function* operationsAreInOrder({ lost, operations, sinceStartMsOf, streams }: Outcome): Iterable<Broken> {
  const byTask = new Map<string, Array<Operation>>()
  for (const operation of operations) {
    // Of a task that a failover has taken commits from, the same versions are given again.
    if (hasLost(lost, operation.taskId)) continue
    const known = byTask.get(operation.taskId)
    if (known === undefined) byTask.set(operation.taskId, [operation])
    else known.push(operation)
  }
  for (const [taskId, own] of byTask) {
    for (const [earlier, later] of outOfOrder(own)) {
      const message = `${textOf(later)} was asked for after ${textOf(earlier)} had been answered`
      yield { id: "S19", taskId, message }
    }
  }
  for (const { events, taskId } of streams) {
    for (const { answeredAtMs, name, version } of byTask.get(taskId) ?? []) {
      const event = events[version - 1]
      if (event !== undefined && sinceStartMsOf(event) <= answeredAtMs + precisionMs) continue
      const message = `${name} was answered with version ${version} at ${answeredAtMs.toFixed(1)} ms, before there was any`
      yield { id: "S19", taskId, message }
    }
  }
}

const textOf = ({ answeredAtMs, invokedAtMs, name, version }: Operation): string =>
  `${name} (version ${version}, ${invokedAtMs.toFixed(1)} to ${answeredAtMs.toFixed(1)} ms)`

/** Pairs of operations on one task of which the second contradicts the first, at most one for each second; in O(n log n). */
export const outOfOrder = (
  operations: ReadonlyArray<Operation>
): ReadonlyArray<readonly [earlier: Operation, later: Operation]> => {
  const pairs: Array<readonly [Operation, Operation]> = []
  const byAnswer = operations.toSorted((one, other) => one.answeredAtMs - other.answeredAtMs)
  const writerOf = new Map<number, Operation>()
  let answeredCount = 0
  let greatest: Operation | null = null
  for (const operation of operations.toSorted((one, other) => one.invokedAtMs - other.invokedAtMs)) {
    for (let next = byAnswer[answeredCount]; next !== undefined && next.answeredAtMs < operation.invokedAtMs;) {
      if (greatest === null || next.version > greatest.version) greatest = next
      next = byAnswer[++answeredCount]
    }
    const writes = operation.eventId !== null
    const rival = writes ? writerOf.get(operation.version) : undefined
    if (writes) writerOf.set(operation.version, operation)
    if (rival !== undefined) pairs.push([rival, operation])
    else if (
      greatest !== null &&
      (writes ? operation.version <= greatest.version : operation.version < greatest.version)
    )
      pairs.push([greatest, operation])
  }
  return pairs
}

/** Events are kept to the microsecond. */
const precisionMs = 0.01
