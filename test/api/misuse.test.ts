import { assert, describe, it } from "@effect/vitest"
import { Schema } from "effect"
import { type Connection, connect, layerMemory, RetryPolicy, Task } from "../../src/promise/index.ts"

/** What a program in JavaScript may give, and the compiler would not let through. */
const given = (value: unknown) => value as never

const Greet = Task.define("greet", { payload: { name: Schema.String } })
const ada = { name: "Ada" }

const asked: ReadonlyArray<readonly [what: string, ask: (duetime: Connection) => unknown, message: string]> = [
  [
    "a kind by its name",
    (duetime) => duetime.schedule(given("greet"), ada),
    "kind is 'greet'. Give what Task.define has returned; scheduleUntyped takes kinds by their names"
  ],
  ["no kind", (duetime) => duetime.schedule(given(undefined), ada), "kind is undefined. Give what Task.define"],
  ["many of a name", (duetime) => duetime.scheduleMany(given("greet"), []), "kind is 'greet'. Give what Task.define"],
  [
    "one task for many",
    (duetime) => duetime.scheduleMany(Greet, given({ payload: ada })),
    "tasks is { payload: { name: 'Ada' } }. Give an array of tasks"
  ],
  [
    "an entry that is none",
    (duetime) => duetime.scheduleMany(Greet, given([{ payload: ada }, null])),
    "tasks[1] is null. Give an object with a payload"
  ],
  [
    "one untyped task",
    (duetime) => duetime.scheduleUntyped(given({ kind: "a", payload: 1 })),
    "Give an array of tasks"
  ],
  [
    "an untyped entry that is none",
    (duetime) => duetime.scheduleUntyped(given(["a"])),
    "tasks[0] is 'a'. Give an object"
  ],
  [
    "a recurrence of a name",
    (duetime) => duetime.recurrences.create(given("greet"), "daily", given({})),
    "kind is 'greet'"
  ],
  ["a handler of a name", (duetime) => duetime.handle(given("greet"), async () => {}), "kind is 'greet'"],
  ["no handler", (duetime) => duetime.handle(Greet, given(undefined)), "handler is undefined. Give a function"],
  [
    "another signal",
    (duetime) => duetime.handle(Greet, async () => {}).work(given({ signal: 5 })),
    "signal is 5. Give the signal of an AbortController"
  ],
  [
    "no new time",
    async (duetime) => duetime.reschedule((await duetime.schedule(Greet, ada, { in: "1 hour" })).id, given(undefined)),
    "when is undefined. Give an object with `in` or `at`"
  ],
  [
    "no reason",
    async (duetime) => duetime.discard((await duetime.schedule(Greet, ada, { in: "1 hour" })).id, given(undefined)),
    "reason is undefined. Give 1 to 1000 characters"
  ],
  [
    "a date for a span, which would be no time at all,",
    (duetime) => duetime.schedule(Greet, ada, { in: given(new Date(0)) }),
    `in is ${String(new Date(0))}. Give a duration`
  ],
  [
    "a unit that there is not, which would be no time at all,",
    (duetime) => duetime.schedule(Greet, ada, { in: given({ hour: 2 }) }),
    "in is { hour: 2 }. Give a duration"
  ],
  [
    "seconds since 1970, which would be long past,",
    (duetime) => duetime.schedule(Greet, ada, { at: 1_893_456_000 }),
    "at is 1893456000. That is 1970-01-22T21:57:36.000Z. If these are seconds since 1970, give 1893456000000, or a Date"
  ],
  [
    "seconds for a new time",
    async (duetime) =>
      duetime.reschedule((await duetime.schedule(Greet, ada, { in: "1 hour" })).id, { at: 1_893_456_000 }),
    "at is 1893456000. That is 1970-01-22"
  ],
  ["a span without a unit", (duetime) => duetime.schedule(Greet, ada, { in: {} }), "in is {}. Give a duration"],
  ["a span of text", (duetime) => duetime.schedule(Greet, ada, { in: given({ hours: "2" }) }), "in is { hours: '2' }"]
]

describe("a program without types is told what to give instead of", () => {
  it.each(asked)("%s", async (_, ask, message) => {
    await using duetime = await connect({ layer: layerMemory })
    const error: unknown = await Promise.resolve(duetime)
      .then(ask)
      .then(
        () => assert.fail("it was taken"),
        (reason: unknown) => reason
      )
    assert.instanceOf(error, Error)
    assert.include(error.message, "OptionsRejected: ")
    assert.include(error.message, message)
  })
})

describe("an instant in milliseconds", () => {
  it.each([0, Date.parse("1969-07-20"), Date.parse("1999-12-31"), Date.parse("2400-01-01")])(
    "is one, however far it is: %d",
    async (at) => {
      await using duetime = await connect({ layer: layerMemory })
      assert.isTrue((await duetime.schedule(Greet, ada, { at })).created)
    }
  )
})

const defined: ReadonlyArray<readonly [what: string, define: () => unknown, message: string]> = [
  ["no payload", () => Task.define("a", given({})), "payload is undefined. Give a schema, or its fields"],
  ["a payload of text", () => Task.define("a", given({ payload: "text" })), "payload is 'text'. Give a schema"],
  [
    "a field that is no schema",
    () => Task.define("a", { payload: { name: given("string") } }),
    "payload.name is 'string'. Give a schema, such as Schema.String"
  ],
  [
    "a result that is no schema",
    () => Task.define("a", { payload: {}, result: given("x") }),
    "result is 'x'. Give a schema"
  ],
  [
    "one delay for several",
    () => RetryPolicy.listed({ delays: given("1 second") }),
    "retry.delays is '1 second'. Give an array"
  ],
  ["a handler that is none", () => Greet.handle(given({})), "handler is {}. Give a function"]
]

describe("a definition without types is told what to give instead of", () => {
  it.each(defined)("%s", (_, define, message) => {
    assert.throws(define, `OptionsRejected: ${message}`)
  })
})
