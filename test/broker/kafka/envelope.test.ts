import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import {
  decode,
  dispatchesPerMessageMax,
  encode,
  messageBytesMax,
  placeOf,
  type SkipReason
} from "../../../src/broker/kafka/envelope.ts"
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
      queue: fc.constant(way.queue),
      priority: fc.constant(way.priority),
      dueAtMs: fc.double({ noNaN: true, noDefaultInfinity: true, min: 0, max: 1e15 }),
      dispatchedAtMs: fc.double({ noNaN: true, min: nowMs - 60_000, max: nowMs + 60_000 }),
      repeat: fc.nat({ max: 127 }),
      isSuspect: fc.boolean()
    },
    { noNullPrototype: true }
  )
  .map((dispatch) => ({ ...dispatch, fence: { ...dispatch.fence } }))
const messages = fc.array(dispatches, { minLength: 1, maxLength: dispatchesPerMessageMax })

const one: Dispatch = {
  taskId: "018bcfe5-6800-7000-8000-000000000001",
  fence: { version: 2, eventId: "5f3c8f2a-0000-4000-8000-000000000001" },
  kind: "reminder.email",
  ...way,
  dueAtMs: nowMs,
  dispatchedAtMs: nowMs,
  repeat: 0,
  isSuspect: false
}

const read = (bytes: Uint8Array) => decode(bytes, way)
/** The message of one dispatch, with some of its bytes changed. */
const with_ = (changed: Readonly<Record<number, number>>, fields: Partial<Dispatch> = {}) => {
  const bytes = encode([{ ...one, ...fields }])
  for (const [at, byte] of Object.entries(changed)) bytes[Number(at)] = byte
  return bytes
}
const headLength = encode([one]).length - 54

describe("the envelope of dispatches", () => {
  it("gives back what went in, queue and priority from the topic", () => {
    fc.assert(
      fc.property(messages, fc.option(traceparents, { nil: undefined }), (sent, traceparent) => {
        const expected = traceparent === undefined ? sent : sent.map((dispatch) => ({ ...dispatch, traceparent }))
        assert.deepStrictEqual(read(encode(sent, traceparent)), expected)
      })
    )
  })

  it("names a kind once, whatever letters it has", () => {
    const kinds = ["reminder.email", "\u{1f4ec} ".repeat(30), "reminder.email"]
    const sent = kinds.map((kind) => ({ ...one, kind }))
    assert.deepStrictEqual(read(encode(sent)), sent)
    assert.strictEqual(encode(sent).length - encode(sent.slice(0, 2)).length, 54)
  })

  it("is small and holds no payload, and the largest is not too large to be read", () => {
    assert.isBelow(encode([one]).length, 80)
    const largest = Array.from({ length: dispatchesPerMessageMax }, (_, index) => ({
      ...one,
      kind: `${index}`.padEnd(100, "\u{1f4ec}").slice(0, 100)
    }))
    const bytes = encode(largest, `00-${"a".repeat(32)}-${"b".repeat(16)}-01`)
    assert.isAtMost(bytes.length, messageBytesMax)
    assert.isNotString(read(bytes))
  })

  it("counts a repetition up to what it has room for", () => {
    for (const isSuspect of [false, true]) {
      const sent = { ...one, isSuspect }
      assert.deepStrictEqual(read(encode([{ ...sent, repeat: 1_000 }])), [{ ...sent, repeat: 127 }])
    }
  })

  it("is dispatches or a reason for any bytes, and never throws", () => {
    const begun = fc.uint8Array().map((rest) => Buffer.concat([encode([one]).subarray(0, 3), rest]))
    const changed = fc.tuple(messages, fc.nat(), fc.nat({ max: 255 }), fc.nat()).map(([sent, at, byte, cut]) => {
      const bytes = encode(sent)
      bytes[at % bytes.length] = byte
      return bytes.subarray(0, bytes.length - (cut % 60))
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), begun, changed), (bytes) => {
        const decoded = read(bytes)
        assert.isTrue(typeof decoded === "string" || decoded.length > 0)
      })
    )
  })

  const cases: ReadonlyArray<readonly [what: string, value: Uint8Array, reason: SkipReason]> = [
    ["an empty message", Buffer.alloc(0), "malformed"],
    ["text", Buffer.from("hello"), "foreign"],
    ["JSON of somebody else", Buffer.from('{"type":"order.created"}'), "foreign"],
    ["two letters", Buffer.from("dt"), "foreign"],
    ["a format of the future", Buffer.from("dt\u0002and more"), "future-format"],
    ["a format before the first", Buffer.from("dt\u0000and more"), "malformed"],
    ["a head alone", encode([one]).subarray(0, headLength), "malformed"],
    ["a message cut short", encode([one, one]).subarray(0, -1), "malformed"],
    ["a trace longer than the message", with_({ 3: 255, 4: 255 }), "malformed"],
    ["more kinds than there are", with_({ 5: 9 }), "malformed"],
    ["a kind without a name", encode([{ ...one, kind: "" }]), "malformed"],
    ["a kind that is not named", with_({ [headLength + 36]: 1 }), "malformed"],
    ["an id that is no UUIDv7", with_({}, { taskId: "5f3c8f2a-0000-4000-8000-000000000001" }), "malformed"],
    ["a due time that is no number", with_({}, { dueAtMs: Number.NaN }), "malformed"],
    ["a dispatch in no time", with_({}, { dispatchedAtMs: Number.POSITIVE_INFINITY }), "malformed"],
    ["more hints than a message may have", encode(Array.from({ length: 65 }, () => one)), "malformed"],
    ["more than 32 kB", Buffer.concat([encode([one]), Buffer.alloc(33_000)]), "malformed"]
  ]
  for (const [what, value, reason] of cases) {
    it(`${what} is ${reason}`, () => assert.strictEqual<unknown>(read(value), reason))
  }

  it("no value at all is malformed", () => assert.strictEqual(decode(null, way), "malformed"))

  it("a broken trace costs the trace, not the dispatches", () => {
    assert.deepStrictEqual(read(encode([one], "00-broken")), [one])
  })

  it("each repetition takes the next partition", () => {
    const places = [0, 1, 2, 3].map((repeat) => placeOf({ ...one, repeat }) % 4)
    assert.strictEqual(new Set(places).size, 4)
  })
})
