import { assert, describe, it } from "@effect/vitest"
import { Data } from "effect"
import { errorMessageLengthMax, toAttemptError } from "../../src/worker/errorText.ts"

class Refused extends Data.TaggedError("Refused")<{ readonly cause?: unknown; readonly status: number }> {}

const circular = new Error("round and round")
circular.cause = circular

const messages: ReadonlyArray<readonly [of: string, failure: unknown, message: string]> = [
  ["an error", new Error("no cover"), "no cover"],
  ["a text", "no cover", "no cover"],
  [
    "an error with causes is theirs as well",
    new TypeError("fetch failed", { cause: new Error("connect ECONNREFUSED 127.0.0.1:80") }),
    "fetch failed: connect ECONNREFUSED 127.0.0.1:80"
  ],
  [
    "causes is said once",
    new Error("Query failed", { cause: new Error("Query failed", { cause: new Error("duplicate key") }) }),
    "Query failed: duplicate key"
  ],
  [
    "a cause that the error tells already is not said again",
    new Error("cannot charge: declined", { cause: new Error("declined") }),
    "cannot charge: declined"
  ],
  ["a cause that is a text", new Error("cannot charge", { cause: "declined" }), "cannot charge: declined"],
  ["a cause that is any object is not shown", new Error("cannot charge", { cause: { card: "4242" } }), "cannot charge"],
  ["a cause without a word", new Error("cannot charge", { cause: new Error() }), "cannot charge"],
  [
    "a cause that has only fields",
    new Error("cannot charge", { cause: new Refused({ status: 402 }) }),
    "cannot charge: { status: 402 }"
  ],
  ["a circle of causes ends", circular, "round and round"],
  [
    "causes ends with the third",
    ["four", "three", "two", "one"].reduce<Error | undefined>(
      (cause, text) => new Error(text, { cause }),
      new Error("five")
    ),
    "one: two: three: four"
  ]
]

describe("what the history keeps of a failure", () => {
  it.each(messages)("the message of %s", (_, failure, message) => {
    assert.strictEqual(toAttemptError(failure).message, message)
  })

  it("is bounded, causes and all", () => {
    const cause = new Error("x".repeat(errorMessageLengthMax))
    assert.strictEqual(toAttemptError(new Error("long", { cause })).message.length, errorMessageLengthMax)
  })

  it("has the causes' stacks below the error's", () => {
    const { stack } = toAttemptError(new Error("one", { cause: new Error("two") }))
    assert.match(stack ?? "", /^Error: one\n[^]*\ncaused by Error: two\n/)
  })
})
