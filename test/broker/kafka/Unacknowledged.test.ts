import { assert, describe, it } from "@effect/vitest"
import { Unacknowledged } from "../../../src/broker/kafka/Unacknowledged.ts"

const topic = "duetime.emails.high.v1"
const partitions = (...spans: ReadonlyArray<readonly [next: number, end: number]>) =>
  spans.map(([next, end], partition) => ({ topic, priority: "high" as const, partition, next, end }))
const nothing = { critical: 0, high: 0, normal: 0, low: 0 }

describe("what has been published and not acknowledged", () => {
  it("counts the dispatches of the messages that the group has not passed, by priority", () => {
    const unacknowledged = new Unacknowledged()
    unacknowledged.sent(topic, [
      { partition: 0, offset: 10, dispatches: 64 },
      { partition: 0, offset: 11, dispatches: 3 },
      { partition: 1, offset: 5, dispatches: 20 }
    ])
    assert.deepStrictEqual(unacknowledged.count(partitions([10, 12], [0, 6])), { ...nothing, high: 87 })
    assert.deepStrictEqual(unacknowledged.count(partitions([11, 12], [6, 6])), { ...nothing, high: 3 })
    assert.deepStrictEqual(unacknowledged.count(partitions([12, 12], [6, 6])), nothing)
  })

  it("leaves out what others have published", () => {
    assert.deepStrictEqual(new Unacknowledged().count(partitions([0, 500], [0, 500])), nothing)
  })

  it("takes what lies behind the end of its partition, or in one that is no more, for lost", () => {
    const unacknowledged = new Unacknowledged()
    unacknowledged.sent(topic, [
      { partition: 0, offset: 10, dispatches: 1 },
      { partition: 7, offset: 1, dispatches: 1 }
    ])
    assert.deepStrictEqual(unacknowledged.count(partitions([0, 3])), nothing)
  })

  it("forgets the oldest when there are more than 5,000 messages to a topic", () => {
    const unacknowledged = new Unacknowledged()
    for (let offset = 0; offset < 100_000; offset++) {
      unacknowledged.sent(topic, [{ partition: 0, offset, dispatches: 1 }])
    }
    const { high } = unacknowledged.count(partitions([0, 100_000]))
    assert.isTrue(high >= 5_000 && high <= 10_000, `${high}`)
    assert.deepStrictEqual(unacknowledged.count(partitions([99_999, 100_000])), { ...nothing, high: 1 })
  })
})
