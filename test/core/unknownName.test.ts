import { assert, describe, it } from "@effect/vitest"
import { namesOf, unknownNameOf } from "../../src/core/unknownName.ts"

const known = namesOf<{ in: 1; at: 1 } | { cron: 1; zone: 1; priority: 1; retry: 1; expiresIn: 1; expiresAt: 1 }>({
  in: true,
  at: true,
  cron: true,
  zone: true,
  priority: true,
  retry: true,
  expiresIn: true,
  expiresAt: true
})

describe("a field that nobody reads", () => {
  it("is told with its value and the names that are known", () => {
    assert.deepStrictEqual(unknownNameOf({ in: 1, delay: "2 s" }, known), {
      name: "delay",
      value: "2 s",
      wayOut: "There is no such option. The options are in, at, cron, zone, priority, retry, expiresIn, expiresAt"
    })
  })

  it("is absent when it is undefined, inherited or not enumerable", () => {
    const inherited: object = Object.create({ delay: 1 })
    const hidden = Object.defineProperty({}, "delay", { value: 1, enumerable: false })
    for (const options of [{}, { in: 1, at: null }, { delay: undefined }, inherited, hidden]) {
      assert.isNull(unknownNameOf(options, known))
    }
  })

  const meant: ReadonlyArray<readonly [string, string]> = [
    ["timeZone", "zone"],
    ["timezone", "zone"],
    ["Zone", "zone"],
    ["retries", "retry"],
    ["priorty", "priority"],
    ["prioritiy", "priority"],
    ["dueAt", "at"],
    ["IN", "in"],
    ["expiresin", "expiresIn"],
    ["expiry", "expiresIn"],
    ["crn", "cron"]
  ]
  it.each(meant)("%s is taken for a slip of %s", (given, name) => {
    const { wayOut } = unknownNameOf({ [given]: 1 }, known) ?? { wayOut: "" }
    assert.include(wayOut, `There is no such option: did you mean ${name}? The options are in, at, `)
  })

  it.each(["delay", "id", "attempts", "when", "x".repeat(100_000)])("%.20s is taken for no other", (given) => {
    const { wayOut } = unknownNameOf({ [given]: 1 }, known) ?? { wayOut: "" }
    assert.match(wayOut, /^There is no such option\. The options are /)
  })

  it("of what is no object is the whole of it", () => {
    for (const given of [JSON.parse("null"), JSON.parse('"2 s"'), JSON.parse("5")]) {
      const { name, value, wayOut } = unknownNameOf(given, known) ?? { name: "", value: "", wayOut: "" }
      assert.deepStrictEqual([name, value], ["options", given])
      assert.match(wayOut, /^Give an object, whose fields are in, at, cron/)
    }
  })
})
