import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  decode,
  decodeStarted,
  encode,
  encodeStarted,
  placeOf,
  type SkipReason
} from "../../../src/broker/kafka/envelope.ts"
import { priorities } from "../../../src/core/Priority.ts"
import type { Dispatch } from "../../../src/broker/Broker.ts"

const nowMs = 1_700_000_000_000
const way = { queue: "emails", priority: "high" } as const

const taskIds = fc.uuid({ version: 7 })
const eventIds = fc.uuid()
const traceparents = fc
  .tuple(fc.stringMatching(/^[0-9a-f]{32}$/), fc.stringMatching(/^[0-9a-f]{16}$/))
  .map(([trace, span]) => `00-${trace}-${span}-01`)

const dispatches: fc.Arbitrary<Dispatch> = fc
  .record(
    {
      taskId: taskIds,
      fence: fc.record({ version: fc.nat(), eventId: eventIds }),
      kind: fc.stringMatching(/^[a-z][a-z0-9._-]{0,99}$/),
      queue: fc.constantFrom("emails", "payments"),
      priority: fc.constantFrom(...priorities),
      dueAtMs: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 1e15 }),
      dispatchedAtMs: fc.double({ noNaN: true, min: nowMs - 60_000, max: nowMs + 60_000 }),
      repeat: fc.nat(),
      traceparent: traceparents
    },
    { requiredKeys: ["taskId", "fence", "kind", "queue", "priority", "dueAtMs", "dispatchedAtMs", "repeat"] }
  )
  .map((dispatch) => ({ ...dispatch, fence: { ...dispatch.fence } }))

const one: Dispatch = {
  taskId: "018bcfe5-6800-7000-8000-000000000001",
  fence: { version: 2, eventId: "5f3c8f2a-0000-4000-8000-000000000001" },
  kind: "reminder.email",
  ...way,
  dueAtMs: nowMs,
  dispatchedAtMs: nowMs,
  repeat: 0
}

const read = (value: unknown) =>
  decode(Buffer.from(typeof value === "string" ? value : JSON.stringify(value)), way, nowMs)
const with_ = (fields: Record<string, unknown>) => ({ ...JSON.parse(encode(one, undefined)), ...fields })

describe("the envelope of a dispatch", () => {
  it("gives back what went in, queue and priority from the topic", () => {
    fc.assert(
      fc.property(dispatches, (dispatch) => {
        assert.deepStrictEqual(
          decode(Buffer.from(encode(dispatch, undefined)), dispatch, nowMs),
          // -0 is 0 in JSON.
          { ...dispatch, dueAtMs: dispatch.dueAtMs + 0 }
        )
      })
    )
  })

  it("carries the trace of the engine unless the dispatch has its own", () => {
    const [own, engines] = [`00-${"a".repeat(32)}-${"b".repeat(16)}-01`, `00-${"c".repeat(32)}-${"d".repeat(16)}-00`]
    assert.deepStrictEqual(read(encode(one, engines)), { ...one, traceparent: engines })
    assert.deepStrictEqual(read(encode({ ...one, traceparent: own }, engines)), { ...one, traceparent: own })
  })

  it("is small and holds no payload", () => {
    assert.isBelow(encode(one, undefined).length, 300)
  })

  it("is a dispatch or a reason for any bytes, and never throws", () => {
    const nearly = fc.anything().map((value) => Buffer.from(JSON.stringify(value) ?? ""))
    const changed = fc
      .dictionary(fc.constantFrom("v", "id", "fv", "fe", "k", "due", "at", "r", "tp"), fc.anything())
      .map((fields) => Buffer.from(JSON.stringify(with_(fields))))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), nearly, changed), (bytes) => {
        const decoded = decode(bytes, way, nowMs)
        assert.isTrue(typeof decoded === "string" || typeof decoded.taskId === "string")
      })
    )
  })

  const cases: ReadonlyArray<readonly [what: string, value: unknown, reason: SkipReason]> = [
    ["an empty message", "", "malformed"],
    ["text", "hello", "malformed"],
    ["a list", [1], "malformed"],
    ["null", null, "malformed"],
    ["JSON of somebody else", { type: "order.created" }, "foreign"],
    ["a format that is no number", with_({ v: "1" }), "malformed"],
    ["a format of the future", with_({ v: 2, id: { other: true } }), "future-format"],
    ["an id that is no UUIDv7", with_({ id: "5f3c8f2a-0000-4000-8000-000000000001" }), "malformed"],
    ["an event id that is none", with_({ fe: "5f3c8f2a" }), "malformed"],
    ["a negative version", with_({ fv: -1 }), "malformed"],
    ["a kind that is a number", with_({ k: 7 }), "malformed"],
    ["a due time that is text", with_({ due: "soon" }), "malformed"],
    ["a due time that is missing", with_({ due: undefined }), "malformed"],
    ["half a repetition", with_({ r: 0.5 }), "malformed"],
    ["what was dispatched more than a minute ago", with_({ at: nowMs - 60_001 }), "stale"],
    ["more than 4 kB", with_({ filler: "x".repeat(5_000) }), "malformed"]
  ]
  for (const [what, value, reason] of cases) {
    it(`${what} is ${reason}`, () => assert.strictEqual<unknown>(read(value), reason))
  }

  it("no value at all is malformed", () => assert.strictEqual(decode(null, way, nowMs), "malformed"))

  it("a broken trace costs the trace, not the dispatch", () => {
    assert.deepStrictEqual(read(with_({ tp: "00-broken" })), one)
  })

  it("each repetition takes the next partition", () => {
    const places = [0, 1, 2, 3].map((repeat) => placeOf({ ...one, repeat }) % 4)
    assert.strictEqual(new Set(places).size, 4)
  })
})

describe("the message about started claims", () => {
  it("gives back the ids that went in", () => {
    fc.assert(
      fc.property(fc.array(eventIds), (ids) => {
        assert.deepStrictEqual(decodeStarted(encodeStarted(ids)), ids)
      })
    )
  })

  it("is ids or nothing for any bytes, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const ids = decodeStarted(bytes)
        assert.isTrue(ids === undefined || ids.every((id) => id.length === 36))
      })
    )
    assert.isUndefined(decodeStarted(null))
  })
})
