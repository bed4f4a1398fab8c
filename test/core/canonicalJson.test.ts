import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { canonicalJson } from "../../src/core/canonicalJson.ts"
import type { Json } from "../../src/core/TaskEvent.ts"

describe("canonical JSON", () => {
  it("is JSON of the same value", () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        const value: Json = JSON.parse(text)
        assert.strictEqual(canonicalJson(JSON.parse(canonicalJson(value))), canonicalJson(value))
        assert.deepStrictEqual(sorted(JSON.parse(canonicalJson(value))), sorted(value))
      }),
      { numRuns: 500, seed: 1 }
    )
  })

  it("does not depend on the order of keys, but on the order of lists", () => {
    assert.strictEqual(canonicalJson({ b: [1, { d: 1, c: 2 }], a: null }), `{"a":null,"b":[1,{"c":2,"d":1}]}`)
    assert.notStrictEqual(canonicalJson([1, 2]), canonicalJson([2, 1]))
  })

  it("tells values apart that look alike", () => {
    const alike: ReadonlyArray<Json> = [
      null,
      "null",
      0,
      "0",
      false,
      "",
      [],
      {},
      [null],
      { a: null },
      { a: "null" },
      [[]],
      "1,2",
      [1, 2],
      ["1", 2]
    ]
    assert.strictEqual(new Set(alike.map(canonicalJson)).size, alike.length)
  })

  it("keeps a key named __proto__", () => {
    assert.strictEqual(canonicalJson(JSON.parse(`{"__proto__":{"a":1},"b":2}`)), `{"__proto__":{"a":1},"b":2}`)
  })
})

/** Entries instead of objects, so that the comparison sees keys that an object literal would swallow. */
const sorted = (value: Json): unknown => {
  if (value === null || typeof value !== "object") return Object.is(value, -0) ? 0 : value
  if (Array.isArray(value)) return value.map(sorted)
  return Object.entries(value)
    .toSorted(([one], [other]) => (one < other ? -1 : 1))
    .map(([key, member]) => [key, sorted(member)])
}
