import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { decodeStarted, encodeStarted } from "../../../src/broker/kafka/controlMessages.ts"

const eventIds = fc.uuid()

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
