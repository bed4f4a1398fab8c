/**
 * How many of the dispatches that this process has published lie in Kafka and have not been acknowledged. Kafka counts
 * messages, which hold up to 64 of them, and those of all engines together; so what was sent is kept by its offset
 * until the group has committed past it.
 */
import type { Priority } from "../../core/Priority.ts"
import type { PartitionOffsets } from "./TopicAdmin.ts"

/** A message, with how many dispatches are in it. */
type Sent = { readonly partition: number; readonly offset: number; readonly dispatches: number }

/**
 * Messages per topic, the oldest forgotten first: some 300 kB. Two and a half windows of an engine, and what is forgotten
 * has long been handled or is published again.
 */
const messagesMax = 5_000

export class Unacknowledged {
  readonly #byTopic = new Map<string, Array<Sent>>()

  sent(topic: string, messages: ReadonlyArray<Sent>): void {
    const before = this.#byTopic.get(topic)
    const all = before ?? []
    all.push(...messages)
    if (all.length > 2 * messagesMax) all.splice(0, all.length - messagesMax)
    if (before === undefined) this.#byTopic.set(topic, all)
  }

  /** By priority, and forgets what is handled. What lies behind the end of its partition is lost: topics are made anew. */
  count(offsets: ReadonlyArray<PartitionOffsets>): Readonly<Record<Priority, number>> {
    const counts: Record<Priority, number> = { critical: 0, high: 0, normal: 0, low: 0 }
    for (const [topic, own] of Map.groupBy(offsets, (partition) => partition.topic)) {
      const sent = this.#byTopic.get(topic)
      if (sent === undefined) continue
      const byPartition = new Map(own.map((partition) => [partition.partition, partition]))
      const open = sent.filter(({ offset, partition }) => {
        const { end = 0, next = 0 } = byPartition.get(partition) ?? {}
        return offset >= next && offset < end
      })
      this.#byTopic.set(topic, open)
      const [{ priority } = { priority: undefined }] = own
      if (priority !== undefined) counts[priority] = open.reduce((sum, { dispatches }) => sum + dispatches, 0)
    }
    return counts
  }
}
