import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { fingerprintOf, isGroup, normalMessage } from "../../src/core/fingerprint.ts"

const kind = "charge-card"
const groupOf = (message: string, stack?: string) =>
  fingerprintOf(kind, { name: "Error", message, ...(stack === undefined ? {} : { stack }) }).group

describe("the fingerprint of an error", () => {
  it("takes what differs each time out of a message", () => {
    const examples: ReadonlyArray<readonly [string, string]> = [
      ["order 1204 has 17.5 EUR left", "order <n> has <n> EUR left"],
      ["1,204.50 is over -3e10", "<n> is over <n>"],
      ["customer 019ab1d6-9c00-7a1b-8c2d-0123456789ab is gone", "customer <id> is gone"],
      ["no such customer: cus_9s8dFa2k", "no such customer: <id>"],
      ["commit deadbeef01 at 0x7ffe", "commit <id> at <id>"],
      [`can't read user's "age" of 'Ann Lee'`, `can't read user's <text> of <text>`],
      ["connect ECONNREFUSED 10.0.0.17:5432", "connect ECONNREFUSED <address>"],
      ["connect ECONNREFUSED ::1:5432", "connect ECONNREFUSED <address>"],
      ["getaddrinfo ENOTFOUND db-7.internal:5432", "getaddrinfo ENOTFOUND <address>"],
      ["GET https://api.example.com/v1/charges/17?x=1 failed", "GET <url> failed"],
      ["mail to ann.lee@example.com bounced", "mail to <address> bounced"],
      ["due 2027-01-31T09:00:00Z is over", "due <n> is over"],
      ["took 12:30:01.5", "took <n>"],
      ["sha256 of v2 differs", "sha256 of v2 differs"],
      ["two\n  lines ", "two lines"]
    ]
    for (const [message, normal] of examples) assert.strictEqual(normalMessage(message), normal, message)
  })

  it("is the same for any number, id and name in quotation marks, and for the same error again", () => {
    fc.assert(
      fc.property(fc.nat(), fc.uuid(), fc.stringMatching(/^[a-z ]{0,20}$/), (number, id, name) => {
        const message = `customer "${name}" (${id}) has ${number} open orders`
        assert.strictEqual(
          groupOf(message),
          groupOf(`customer "x" (${"0".repeat(8)}-0000-7000-8000-${"0".repeat(12)}) has 1 open orders`)
        )
        assert.strictEqual(normalMessage(normalMessage(message)), normalMessage(message))
      }),
      { seed: 1, numRuns: 300 }
    )
  })

  it("differs by kind, name, words and the place of one's own code", () => {
    const stack = (at: string) =>
      `Error: no\n    at node:internal/x:1:2\n    at f (/app/node_modules/pg/x.js:1:2)\n    at ${at}`
    const groups = [
      fingerprintOf(kind, { name: "Error", message: "declined" }),
      fingerprintOf("refund", { name: "Error", message: "declined" }),
      fingerprintOf(kind, { name: "CardError", message: "declined" }),
      fingerprintOf(kind, { name: "Error", message: "stolen" }),
      fingerprintOf(kind, {
        name: "Error",
        message: "declined",
        stack: stack("charge (file:///app/src/cards.ts:10:5)")
      }),
      fingerprintOf(kind, {
        name: "Error",
        message: "declined",
        stack: stack("refund (file:///app/src/cards.ts:10:5)")
      })
    ].map(({ group }) => group)
    assert.strictEqual(new Set(groups).size, groups.length)
    assert.isTrue(groups.every(isGroup))
  })

  it("does not look at lines, folders and frames of others", () => {
    const one = "Error: no\n    at async charge (file:///srv/a/src/cards.ts:10:5)\n    at run (/srv/a/src/other.ts:1:1)"
    const other = "Error: no\n    at x (/b/node_modules/y.js:1:1)\n    at charge (/home/b/src/cards.ts?v=2:99:1)"
    assert.strictEqual(groupOf("no", one), groupOf("no", other))
    assert.strictEqual(
      fingerprintOf(kind, { name: "E", message: "order 7", stack: one }).cause,
      "E: order <n> (charge at src/cards.ts)"
    )
  })

  it("reads long messages to a limit, in bounded time whatever they hold", () => {
    for (const part of ["a1", "'", `"`, "1:", "a.", "::", "x@", "0", "<"]) {
      const group = groupOf(part.repeat(100_000))
      assert.isTrue(isGroup(group))
      assert.strictEqual(groupOf(part.repeat(100_000) + "b"), group)
    }
  })
})
