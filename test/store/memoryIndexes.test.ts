import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import type { Priority } from "../../src/core/Priority.ts"
import { Heap } from "../../src/store/memory/Heap.ts"
import { Lanes, type LaneEntry } from "../../src/store/memory/Lanes.ts"

describe("the heap", () => {
  it("gives numbers back in order, however pushes, pops and purges come", () => {
    const anyStep = fc.oneof(
      { weight: 4, arbitrary: fc.integer({ min: 0, max: 50 }) },
      { weight: 2, arbitrary: fc.constant("pop" as const) },
      { weight: 1, arbitrary: fc.constant("drop odd ones" as const) }
    )
    fc.assert(
      fc.property(fc.array(anyStep, { maxLength: 200, size: "max" }), (steps) => {
        const heap = new Heap<number>((one, other) => one < other)
        let model: Array<number> = []
        for (const step of steps) {
          if (step === "pop") assert.strictEqual(heap.pop(), model.shift())
          else if (step === "drop odd ones") {
            heap.retain((number) => number % 2 === 0)
            model = model.filter((number) => number % 2 === 0)
          } else {
            heap.push(step)
            model = [...model, step].toSorted((one, other) => one - other)
          }
          assert.deepStrictEqual([heap.peek(), heap.size], [model[0], model.length])
        }
      }),
      { numRuns: 100, seed: 1 }
    )
  })
})

describe("the lanes", () => {
  it("stay within twice their live entries however often tasks move", () => {
    const current = new Map<string, number>()
    const read: Array<LaneEntry> = []
    const lanes = new Lanes((entry) => {
      read.push(entry)
      return current.get(entry.taskId) === entry.version
    })
    for (let version = 1; version <= 20_000; version++) {
      const taskId = `task-${version % 10}`
      const isKnown = current.has(taskId)
      current.set(taskId, version)
      if (isKnown) lanes.leave("k", "normal")
      lanes.enter("k", "normal", { taskId, dueAtMs: 100_000 - version, version })
    }
    read.length = 0
    assert.strictEqual(lanes.countDue("k", 100_000, 50), 10)
    assert.isAtMost(read.length, 2 * 10 + 1_024 + 1)
  })

  it("show the task that a sort of all of them would put first", () => {
    const anyMove = fc.record({
      task: fc.integer({ min: 0, max: 8 }),
      kind: fc.constantFrom("a", "b"),
      priority: fc.constantFrom<Priority>("critical", "low"),
      dueAtMs: fc.integer({ min: 0, max: 5 }),
      isLeaving: fc.boolean()
    })
    fc.assert(
      fc.property(fc.array(anyMove, { maxLength: 80, size: "max" }), (moves) => {
        const pending = new Map<string, LaneEntry & { readonly kind: string; readonly priority: Priority }>()
        const lanes = new Lanes(({ taskId, version }) => pending.get(taskId)?.version === version)
        for (const [version, { dueAtMs, isLeaving, kind, priority, task }] of moves.entries()) {
          const taskId = `task-${task}`
          const before = pending.get(taskId)
          pending.delete(taskId)
          if (before !== undefined) lanes.leave(before.kind, before.priority)
          if (!isLeaving) {
            pending.set(taskId, { taskId, dueAtMs, version, kind, priority })
            lanes.enter(kind, priority, { taskId, dueAtMs, version })
          }
          for (const kinds of [["a"], ["b"], ["b", "a"], []]) {
            for (const asked of ["critical", "low"] as const) {
              const [first] = [...pending.values()]
                .filter((entry) => kinds.includes(entry.kind) && entry.priority === asked)
                .toSorted((one, other) => one.dueAtMs - other.dueAtMs || (one.taskId < other.taskId ? -1 : 1))
              assert.strictEqual(lanes.oldest(kinds, asked)?.taskId, first?.taskId)
            }
          }
        }
      }),
      { numRuns: 80, seed: 2 }
    )
  })
})
