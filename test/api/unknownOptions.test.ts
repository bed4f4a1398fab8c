import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { DeadLetters } from "../../src/DeadLetters.ts"
import { Duetime } from "../../src/Duetime.ts"
import { layerMemory } from "../../src/layers.ts"
import { connect, layerMemory as promisedMemory } from "../../src/promise/index.ts"
import { Recurrences } from "../../src/Recurrences.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Task from "../../src/Task.ts"
import { plan } from "../../src/testing/index.ts"
import { Worker } from "../../src/worker/Worker.ts"

/** JavaScript gives what the types forbid. */
const given = (text: string) => JSON.parse(text)

const Greet = Task.define("greet", { payload: { name: Schema.String } })
const ada = { name: "Ada" }
const payload = ada

type Asked = Effect.Effect<unknown, { readonly message: string }, Duetime | DeadLetters | Recurrences>

const refusals: ReadonlyArray<readonly [what: string, ask: () => Asked, message: string]> = [
  [
    "of schedule",
    () => Greet.schedule(ada, given('{ "delay": "2 s" }')),
    "delay is '2 s'. There is no such option. The options are in, at, calendar, expiresIn, expiresAt, onSuccess, onDead, key, priority, orderingKey, traceparent"
  ],
  [
    "of schedule that is nearly one",
    () => Greet.schedule(ada, given('{ "priorty": "low" }')),
    "priorty is 'low'. There is no such option: did you mean priority? The options are"
  ],
  [
    "of schedule that belongs to an entry",
    () => Greet.schedule(ada, given('{ "payload": {} }')),
    "payload is {}. There is no such option."
  ],
  ["of schedule that is no object", () => Greet.schedule(ada, given('"2 s"')), "options is '2 s'. Give an object"],
  [
    "of a key that expires",
    () => Greet.schedule(ada, given('{ "key": { "key": "k", "expiresin": 1 } }')),
    "key.expiresin is 1. There is no such option: did you mean expiresIn? The options are key, expiresIn"
  ],
  [
    "of a business day",
    () =>
      Greet.schedule(
        ada,
        given('{ "calendar": { "zone": "UTC" }, "in": { "businessDays": 1, "at": "10:00", "zone": 1 } }')
      ),
    "in.zone is 1. There is no such option"
  ],
  [
    "of a calendar",
    () => Greet.schedule(ada, given('{ "calendar": { "zone": "UTC", "holiday": [] } }')),
    "calendar.holiday is []. There is no such option: did you mean holidays?"
  ],
  [
    "of a later entry of scheduleMany",
    () => Greet.scheduleMany([{ payload }, given('{ "payload": { "name": "Bob" }, "dueAt": 1 }')]),
    "dueAt is 1. There is no such option: did you mean at? The options are payload, in, at"
  ],
  [
    "of an entry of scheduleUntyped",
    () =>
      Duetime.use((duetime) =>
        duetime.scheduleUntyped([{ kind: "greet", payload }, given('{ "kind": "a", "paylod": {} }')])
      ),
    "paylod is {}. There is no such option: did you mean payload? The options are kind, payload, in, at"
  ],
  [
    "of reschedule",
    () =>
      Effect.gen(function* () {
        const { id } = yield* Greet.schedule(ada, { in: "1 hour" })
        yield* Duetime.use((duetime) => duetime.cancel(id))
        return yield* Duetime.use((duetime) => duetime.reschedule(id, given('{ "in": 1, "zone": "UTC" }')))
      }),
    "zone is 'UTC'. There is no such option. The options are in, at, calendar"
  ],
  [
    "of what follows",
    () => Greet.schedule(ada, { onSuccess: Greet.follow(ada, { onDead: Greet.follow(ada, given('{ "delay": 1 }')) }) }),
    "onSuccess.onDead.delay is 1. There is no such option. The options are onSuccess, onDead, in, priority"
  ],
  [
    "of a recurrence",
    () =>
      Recurrences.use((recurrences) =>
        recurrences.create(
          Greet,
          "daily",
          given('{ "cron": "0 9 * * *", "timeZone": "Europe/Berlin", "payload": { "name": "Ada" } }')
        )
      ),
    "timeZone is 'Europe/Berlin'. There is no such option: did you mean zone? The options are cron, zone"
  ],
  [
    "of a rule that is previewed",
    () =>
      Recurrences.use((recurrences) =>
        recurrences.previewOf(given('{ "cron": "0 9 * * *", "timezone": "Europe/Berlin" }'))
      ),
    "timezone is 'Europe/Berlin'. There is no such option: did you mean zone?"
  ],
  [
    "of a misfire policy",
    () =>
      Recurrences.use((recurrences) =>
        recurrences.create(
          Greet,
          "hourly",
          given('{ "every": "1 hour", "misfire": { "run": "all", "max": 5 }, "payload": { "name": "Ada" } }')
        )
      ),
    "misfire.max is 5. There is no such option. The options are run, cap, pace, grace"
  ],
  [
    "of find",
    () => Duetime.use((duetime) => duetime.find(given('{ "stage": "pending", "kinds": "greet" }'))),
    "kinds is 'greet'. There is no such option: did you mean kind? The options are stage, kind, group, after, limit"
  ],
  [
    "of awaitEnd",
    () =>
      Duetime.use((duetime) => duetime.awaitEnd("019ab1d6-9c00-7a1b-8c2d-0123456789ab", given('{ "timeoutMs": 5 }'))),
    "timeoutMs is 5. There is no such option: did you mean timeout? The options are timeout"
  ],
  [
    "of pause",
    () => Duetime.use((duetime) => duetime.pause(given('{ "kind": "greet", "reason": "maintenance" }'))),
    "target.reason is 'maintenance'. There is no such option. The options are kind, queue"
  ],
  [
    "of groups of dead letters",
    () => DeadLetters.use((dead) => dead.groups(given('{ "kinds": "greet" }'))),
    "kinds is 'greet'. There is no such option: did you mean kind? The options are kind, group, limit"
  ],
  [
    "of those that are counted",
    () => DeadLetters.use((dead) => dead.count(given('{ "limit": 5 }'))),
    "limit is 5. There is no such option. The options are kind, group"
  ],
  [
    "of those that are redriven, which would be all,",
    () => DeadLetters.use((dead) => dead.redriveAll(given('{ "kin": "greet" }'))),
    "kin is 'greet'. There is no such option: did you mean kind?"
  ],
  [
    "of those that are discarded, which would be all,",
    () => DeadLetters.use((dead) => dead.discardAll(given('{ "Kind": "greet" }'), "they are old")),
    "Kind is 'greet'. There is no such option: did you mean kind?"
  ],
  [
    "of those that are redriven without a word of which",
    () => DeadLetters.use((dead) => dead.redriveAll(given("[]")[0])),
    "options is undefined. Give an object, whose fields are kind, group"
  ],
  [
    "of a ramp",
    () => DeadLetters.use((dead) => dead.ramp("3f9a0c11d2e4", given('{ "failureShare": 0.5 }'))),
    "failureShare is 0.5. There is no such option: did you mean failureShareMax?"
  ],
  [
    "of a list of recurrences",
    () => Recurrences.use((recurrences) => recurrences.list(given('{ "page": 2 }'))),
    "page is 2. There is no such option. The options are after, limit"
  ],
  [
    "of an outage",
    () =>
      Recurrences.use((recurrences) =>
        recurrences.previewOutage("daily", given('{ "from": 0, "until": 1, "zone": "UTC" }'))
      ),
    "zone is 'UTC'. There is no such option. The options are from, until"
  ]
]

describe("an option that there is not is refused, with nothing stored,", () => {
  it.effect.each(refusals)("%s", ([, ask, message]) =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(ask())
      assert.include(error.message, `OptionsRejected: ${message}`)
      const found = yield* Duetime.use((duetime) => duetime.find({ stage: "pending" }))
      assert.deepStrictEqual(found.tasks, [])
      assert.deepStrictEqual(yield* Recurrences.use((recurrences) => recurrences.list()), [])
    }).pipe(Effect.provide(Layer.fresh(layerMemory)))
  )

  it.effect("and one that is undefined is as good as left out", () =>
    Effect.gen(function* () {
      const options = { in: undefined, dealy: undefined }
      assert.isTrue((yield* Greet.schedule(ada, options)).created)
    }).pipe(Effect.provide(Layer.fresh(layerMemory)))
  )

  it.effect("of a worker as its configuration is", () =>
    Effect.gen(function* () {
      const building = Layer.build(Layer.provide(Worker.layer(given('{ "concurency": 5 }')), layerMemory))
      const { message } = yield* Effect.flip(Effect.scoped(building))
      const wayOut = "There is no such option: did you mean concurrency? The options are concurrency, criticalSlots"
      assert.include(message, `ConfigInvalid: concurency is given. ${wayOut}`)
    })
  )
})

const mistakes: ReadonlyArray<readonly [message: string, make: () => unknown]> = [
  [
    "retries is 3. There is no such option: did you mean retry? The options are payload, result, queue",
    () => Task.define("a", { payload: {}, ...given('{ "retries": 3 }') })
  ],
  ["options is undefined. Give an object", () => Task.define("a", given("[]")[0])],
  ["retry is 3. Give a policy", () => Task.define("a", { payload: {}, ...given('{ "retry": 3 }') })],
  [
    "retry is { attempts: 3 }. Give a policy, such as RetryPolicy.exponential(",
    () => Task.define("a", { payload: {}, ...given('{ "retry": { "attempts": 3 } }') })
  ],
  [
    "caps.rate is 3. There is no such option. The options are concurrency, perSecond",
    () => Task.define("a", { payload: {}, ...given('{ "caps": { "concurrency": 1, "rate": 3 } }') })
  ],
  [
    "dueJitter.until is 3. There is no such option. The options are from, to",
    () => Task.define("a", { payload: {}, ...given('{ "dueJitter": { "to": 1, "until": 3 } }') })
  ],
  [
    "reconciler is true. There is no such option: did you mean reconcile?",
    () => Greet.handle(() => Effect.void, given('{ "reconciler": true }'))
  ],
  [
    "retry.attempts is 3. There is no such option: did you mean attemptsMax? The options are base, cap, factor",
    () => RetryPolicy.exponential({ base: 1, cap: 2, ...given('{ "attempts": 3 }') })
  ],
  [
    "retry.delays is []. There is no such option: did you mean delay?",
    () => RetryPolicy.fixed({ delay: 1, ...given('{ "delays": [] }') })
  ],
  [
    "retry.delay is 1. There is no such option: did you mean delays?",
    () => RetryPolicy.listed({ delays: [1], ...given('{ "delay": 1 }') })
  ],
  [
    "calender is {}. There is no such option: did you mean calendar?",
    () => Task.retryIn("1 hour", "declined", given('{ "calender": {} }'))
  ],
  ["zone is 'UTC'. There is no such option", () => Task.retryAt(0, "declined", given('{ "zone": "UTC" }'))],
  [
    "delay is '2 s'. There is no such option. The options are after, in, at",
    () => plan(Greet, ada, given('{ "delay": "2 s" }'))
  ]
]

describe("an option that there is not is refused when the program starts:", () => {
  it.each(mistakes)("%s", (message, make) => {
    assert.throws(make, `OptionsRejected: ${message}`)
  })
})

describe("without Effect", () => {
  const messageOf = (asked: Promise<unknown>): Promise<string> =>
    asked.then(
      () => assert.fail("it did not reject"),
      (error: unknown) => (error instanceof Error ? error.message : String(error))
    )

  it("a layer that is given instead of the options is told how to be given", async () => {
    const layer: object = promisedMemory
    const message = await messageOf(connect(layer))
    assert.match(message, /^OptionsRejected: options is .{1,200}\. Give the layer as connect\(\{ layer: \.\.\. \}\)$/)
  })

  it("an option of connect or work that there is not, and a layer that is none, is refused", async () => {
    assert.match(
      await messageOf(connect(given('{ "layers": 1 }'))),
      /layers is 1\. There is no such option: did you mean/
    )
    assert.match(await messageOf(connect({ ...given('{ "layer": "dev" }') })), /layer is 'dev'\. Give a layer, such as/)
    await using duetime = await connect({ layer: promisedMemory })
    const working = duetime.handle(Greet, async () => {}).work(given('{ "onSignal": false }'))
    assert.match(
      await messageOf(working),
      /^OptionsRejected: onSignal is false\. .* did you mean onSignals\? The options/
    )
  })
})
