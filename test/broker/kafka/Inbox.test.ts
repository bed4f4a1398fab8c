import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Inbox } from "../../../src/broker/kafka/Inbox.ts"
import { dispatchOf, roomFor } from "../Broker.contract.ts"

describe("the inbox of a consumer", () => {
  it.effect("holds 5,000 dispatches and no more", () =>
    Effect.gen(function* () {
      const inbox = new Inbox()
      const offers = Array.from({ length: 5_001 }, () => inbox.offer(dispatchOf({ queue: "emails" })))
      assert.strictEqual(offers.indexOf(false), 5_000)
      assert.strictEqual((yield* inbox.take(roomFor(10_000))).length, 5_000)
      assert.isTrue(inbox.offer(dispatchOf({ queue: "emails" })))
    })
  )
})
