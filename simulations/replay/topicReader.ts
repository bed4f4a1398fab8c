/** Somebody outside the group who reads all that lies in the topics, while it is written: a topic keeps it for ten minutes. */
import { Effect, type Scope } from "effect"
import { Kafka, logLevel } from "kafkajs"
import type { Dispatch } from "../../src/broker/Broker.ts"
import { decode } from "../../src/broker/kafka/envelope.ts"
import { topicOf } from "../../src/broker/kafka/topics.ts"
import { priorities } from "../../src/core/Priority.ts"

export type Partition = { readonly name: string; readonly dispatches: ReadonlyArray<Dispatch> }

export type TopicReader = {
  /** In the order of their offsets, when all that is there now has been read. */
  readonly partitions: Effect.Effect<ReadonlyArray<Partition>>
  /** Records that are no dispatches. */
  readonly problems: ReadonlyArray<string>
}

const lookMs = 20

/** Of a queue whose topics are there. */
export const topicReader = (
  address: string,
  prefix: string,
  queue: string
): Effect.Effect<TopicReader, never, Scope.Scope> =>
  Effect.gen(function* () {
    const kafka = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING })
    const priorityOf = new Map(priorities.map((priority) => [topicOf(prefix, { queue, priority }), priority]))
    const found = new Map<string, { readonly dispatches: Array<Dispatch>; nextOffset: number }>()
    const problems: Array<string> = []
    const admin = kafka.admin()
    const reader = kafka.consumer({ groupId: `${prefix}.reader` })
    yield* Effect.acquireRelease(
      Effect.promise(async () => {
        await admin.connect()
        await reader.connect()
        await reader.subscribe({ topics: [...priorityOf.keys()], fromBeginning: true })
        await reader.run({
          eachMessage: async ({ message, partition, topic }) => {
            const name = `${topic}/${partition}`
            const known = found.get(name) ?? { dispatches: [], nextOffset: 0 }
            found.set(name, known)
            const offset = Number(message.offset)
            // Read before, by this reader's former membership.
            if (offset < known.nextOffset) return
            if (offset > known.nextOffset)
              problems.push(`${name} lacks the records ${known.nextOffset} to ${offset - 1}`)
            known.nextOffset = offset + 1
            const decoded = decode(message.value, { queue, priority: priorityOf.get(topic) ?? "normal" })
            if (typeof decoded === "string") problems.push(`${name} has a record that is ${decoded}`)
            else known.dispatches.push(...decoded)
          }
        })
      }),
      () => Effect.promise(() => Promise.allSettled([reader.disconnect(), admin.disconnect()]))
    )
    const left = Effect.promise(async () => {
      const wanting: Array<string> = []
      for (const topic of priorityOf.keys()) {
        for (const { high, partition } of await admin.fetchTopicOffsets(topic)) {
          const name = `${topic}/${partition}`
          if (Number(high) > (found.get(name)?.nextOffset ?? 0)) wanting.push(name)
        }
      }
      return wanting
    })
    return {
      problems,
      partitions: Effect.gen(function* () {
        while ((yield* left).length > 0) yield* Effect.sleep(lookMs)
        return Array.from(found, ([name, { dispatches }]) => ({ name, dispatches }))
      })
    }
  })
