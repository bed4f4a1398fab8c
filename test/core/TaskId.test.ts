import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { defaultKindPolicy, jitteredDueAtMs } from "../../src/core/KindPolicy.ts"
import { isPriority, priorities, priorityOf, rankOf } from "../../src/core/Priority.ts"
import * as TaskId from "../../src/core/TaskId.ts"

const anyTimestampMs = fc.oneof(
  fc.integer({ min: 0, max: TaskId.timestampMsMax }),
  fc.constantFrom(0, 1, TaskId.timestampMsMax, Date.UTC(2026, 10, 23))
)
const anySlot = fc.integer({ min: 0, max: TaskId.slotsCount - 1 })
const anyBytes = fc.uint8Array({ minLength: 8, maxLength: 8 })
const anyJitter = fc
  .tuple(fc.integer({ min: 0, max: 60_000 }), fc.integer({ min: 0, max: 60_000 }))
  .map(([fromMs, spreadMs]) => ({ fromMs, toMs: fromMs + spreadMs }))

describe("a task id", () => {
  it("gives back the due time and the slot it was made of, and is a UUIDv7", () => {
    fc.assert(
      fc.property(anyTimestampMs, anySlot, anyBytes, (atMs, slot, bytes) => {
        const id = TaskId.make(atMs, slot, bytes)
        assert.match(id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
        assert.isTrue(TaskId.isTaskId(id))
        assert.deepStrictEqual([TaskId.nominalDueAtMsOf(id), TaskId.slotOf(id)], [atMs, slot])
      }),
      { numRuns: 1_000, seed: 1 }
    )
  })

  it("keeps every random bit that the format has room for", () => {
    const ofByte = (index: number, byte: number) =>
      TaskId.make(
        0,
        0,
        Uint8Array.from({ length: 8 }, (_, place) => (place === index ? byte : 0))
      )
    for (let index = 0; index < 8; index++) {
      const ids = new Set(Array.from({ length: 256 }, (_, byte) => ofByte(index, byte)))
      // Two bits of the first byte are the variant.
      assert.strictEqual(ids.size, index === 0 ? 64 : 256)
    }
  })

  it("is ordered by due time, as text", () => {
    fc.assert(
      fc.property(anyTimestampMs, anyTimestampMs, anySlot, anySlot, anyBytes, anyBytes, (a, b, slotA, slotB, x, y) => {
        fc.pre(a < b)
        assert.isTrue(TaskId.make(a, slotA, x) < TaskId.make(b, slotB, y))
      }),
      { numRuns: 1_000, seed: 2 }
    )
  })

  it("lies at or behind the lower bound of its instant, and before the next one's", () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: TaskId.timestampMsMax - 1 }), anySlot, anyBytes, (atMs, slot, bytes) => {
        const id = TaskId.make(atMs, slot, bytes)
        assert.isTrue(TaskId.lowerBoundAt(atMs) <= id && id < TaskId.lowerBoundAt(atMs + 1))
      }),
      { numRuns: 1_000, seed: 3 }
    )
  })

  it("clamps instants that 48 bits cannot hold, and drops fractions", () => {
    const bytes = new Uint8Array(8)
    assert.strictEqual(TaskId.nominalDueAtMsOf(TaskId.make(-1, 0, bytes)), 0)
    assert.strictEqual(TaskId.nominalDueAtMsOf(TaskId.make(1e18, 0, bytes)), TaskId.timestampMsMax)
    assert.strictEqual(TaskId.nominalDueAtMsOf(TaskId.make(12.9, 0, bytes)), 12)
    assert.strictEqual(TaskId.lowerBoundAt(12.9), TaskId.lowerBoundAt(12))
  })

  it("is told from other texts", () => {
    const id = TaskId.make(1_800_000_000_000, 7, new Uint8Array(8))
    const others = [
      "",
      "7",
      id.toUpperCase(),
      `${id}0`,
      ` ${id}`,
      id.replace(/-/g, ""),
      id.replace("-7", "-4"),
      `${id}\n`
    ]
    assert.deepStrictEqual(others.filter(TaskId.isTaskId), [])
  })

  it("of one key always has the same slot, and keys spread over all slots", () => {
    const slots = new Set<number>()
    for (let tenant = 0; tenant < 40_000; tenant++) {
      const slot = TaskId.slotOfKey(`tenant-${tenant}`)
      assert.isTrue(Number.isInteger(slot) && slot >= 0 && slot < TaskId.slotsCount)
      slots.add(slot)
    }
    // Of 40,000 balls in 4,096 urns one urn in 17,000 stays empty.
    assert.isAbove(slots.size, TaskId.slotsCount - 10)
    assert.strictEqual(TaskId.slotOfKey("tenant-1"), TaskId.slotOfKey("tenant-1"))
    assert.strictEqual(TaskId.slotOfKey(""), (0x811c9dc5 ^ 0x811c) & 0xfff)
  })
})

describe("the jitter of a due time", () => {
  it("lies within its range and never moves", () => {
    fc.assert(
      fc.property(anyTimestampMs, anyBytes, anyJitter, (atMs, bytes, jitter) => {
        const id = TaskId.make(atMs, 0, bytes)
        const dueAtMs = jitteredDueAtMs(atMs, id, jitter)
        assert.isTrue(Number.isInteger(dueAtMs))
        assert.isAtLeast(dueAtMs, atMs + jitter.fromMs)
        assert.isAtMost(dueAtMs, atMs + jitter.toMs)
        assert.strictEqual(jitteredDueAtMs(atMs, id, jitter), dueAtMs)
      }),
      { numRuns: 1_000, seed: 4 }
    )
  })

  it("reaches the beginning of its range, and its end up to a millisecond", () => {
    const jitter = { fromMs: 1_000, toMs: 5_000 }
    const dueOf = (byte: number) => jitteredDueAtMs(0, TaskId.make(0, 0, new Uint8Array(8).fill(byte)), jitter)
    assert.deepStrictEqual([dueOf(0), dueOf(255)], [1_000, 4_999])
  })

  it("is none unless the kind asks for it", () => {
    const id = TaskId.make(5, 0, new Uint8Array(8).fill(255))
    assert.isNull(defaultKindPolicy("k").dueJitter)
    assert.strictEqual(jitteredDueAtMs(5, id, null), 5)
  })
})

describe("priorities", () => {
  it("rank from the most urgent and come back from their rank", () => {
    assert.deepStrictEqual(priorities.map(rankOf), [0, 1, 2, 3])
    assert.deepStrictEqual(priorities.map(rankOf).map(priorityOf), [...priorities])
  })

  it("read an unknown rank as the least urgent, so that nothing is lost", () => {
    assert.deepStrictEqual([4, -1, 1.5, Number.NaN].map(priorityOf), ["low", "low", "low", "low"])
  })

  it("are told from other values", () => {
    assert.deepStrictEqual(["critical", "urgent", "", 0, null, undefined].map(isPriority), [
      true,
      false,
      false,
      false,
      false,
      false
    ])
  })
})
