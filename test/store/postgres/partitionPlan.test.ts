import { assert, describe, it } from "@effect/vitest"
import { nextStep } from "../../../src/store/postgres/partitionSteps.ts"
import {
  daysAhead,
  horizonYears,
  type Partition,
  plan,
  rangeOf,
  retentionDaysMax
} from "../../../src/store/postgres/partitionPlan.ts"

const dayMs = 86_400_000
const firstMs = Date.parse("2026-01-01T00:00:00Z")
const everyDay = Array.from({ length: 3 * 366 }, (_, day) => firstMs + day * dayMs + 12_345)

describe("the plan of partitions", () => {
  it("covers the retention edge to the horizon without gap or overlap, on every day of three years", () => {
    for (const nowMs of everyDay) {
      const partitions = plan(nowMs, 14)
      for (const [index, { fromMs, toMs }] of partitions.entries()) {
        assert.isBelow(fromMs, toMs)
        const next = partitions[index + 1]
        if (next !== undefined) assert.strictEqual(toMs, next.fromMs)
      }
      const horizonMs = partitions.at(-1)?.toMs ?? 0
      assert.isAtLeast(horizonMs - nowMs, horizonYears * 365 * dayMs)
    }
  })

  it("has at most 100 tables, the kept one included, with the longest retention", () => {
    for (const nowMs of everyDay) assert.isAtMost(plan(nowMs, retentionDaysMax).length + 1, 100)
  })

  it("gives every near day a partition of its own", () => {
    for (const nowMs of everyDay) {
      const near = plan(nowMs, 1).filter(({ fromMs }) => fromMs > nowMs && fromMs <= nowMs + daysAhead * dayMs)
      assert.isTrue(near.every(({ fromMs, toMs }) => toMs - fromMs === dayMs))
      assert.strictEqual(near.length, daysAhead)
    }
  })

  it("names every partition so that its range can be read from the name", () => {
    for (const nowMs of everyDay)
      for (const partition of plan(nowMs, 3)) assert.deepStrictEqual(rangeOf(partition.name), partition)
  })

  it("is reached from an empty database and from any earlier day, also after months of standing still", () => {
    for (const standstillDays of [0, 1, 2, 17, 40, 100, 400]) {
      let attached: ReadonlyArray<Partition> = []
      for (const nowMs of [firstMs + 5 * dayMs, firstMs + (5 + standstillDays) * dayMs]) {
        const wanted = plan(nowMs, 3)
        const result = carriedOut(attached, wanted)
        attached = result.attached
        assert.deepStrictEqual(
          attached.filter(({ name }) => name !== "kept").map(({ name }) => name),
          wanted.map(({ name }) => name)
        )
        const kept = attached.find(({ name }) => name === "kept")
        assert.strictEqual(kept?.toMs, wanted[0]?.fromMs)
      }
    }
  })
})

/** What the database does with the steps: the ranges only. Every step keeps the whole range covered, or rows would be lost. */
const carriedOut = (from: ReadonlyArray<Partition>, wanted: ReadonlyArray<Partition>) => {
  let attached = from
  for (let steps = 0; steps < 1_000; steps++) {
    const step = nextStep(attached, wanted)
    if (step === null) return { attached, steps }
    const drop = step.kind === "make" ? null : step.drop
    const rest = attached.filter((partition) => partition !== drop)
    if (step.kind === "split") assertCovers(step.make, step.drop)
    attached = (
      step.kind === "retire"
        ? rest.map((partition) => (partition.name === "kept" ? { ...partition, toMs: step.drop.toMs } : partition))
        : [...rest, ...step.make]
    ).toSorted((left, right) => left.fromMs - right.fromMs)
    for (const [index, { toMs }] of attached.entries()) {
      const next = attached[index + 1]
      if (next !== undefined) assert.strictEqual(toMs, next.fromMs, `${attached[index]?.name} and ${next.name}`)
    }
  }
  throw new Error("the plan is never reached")
}

const assertCovers = (parts: ReadonlyArray<Partition>, whole: Partition) => {
  const sorted = parts.toSorted((left, right) => left.fromMs - right.fromMs)
  assert.strictEqual(sorted[0]?.fromMs, whole.fromMs)
  assert.isAtLeast(sorted.at(-1)?.toMs ?? 0, whole.toMs)
}
