import { assert, it, layer } from "@effect/vitest"
import { Effect } from "effect"
import { defaultKindPolicy } from "../../src/core/KindPolicy.ts"
import { priorities } from "../../src/core/Priority.ts"
import { layerPostgres } from "../../src/layers.ts"
import { Session } from "../../src/store/Session.ts"
import { database, TestDatabase } from "../setup/database.ts"
import { onKafka, uniqueName } from "../setup/kafka.ts"
import { type Environment, runCli } from "./runCli.ts"

type Topic = {
  readonly topic: string
  readonly partitions: number
  readonly outcome: string
  readonly lag: number | null
}

type Finding = { readonly check: string; readonly commands: ReadonlyArray<{ readonly command: string }> }

it.live("duetime topics needs Kafka's address, and a Kafka that answers", () =>
  Effect.gen(function* () {
    const unset = yield* runCli(["topics", "list", "--queue", "email"])
    assert.match(
      unset.stderr,
      /^ConfigInvalid: DUETIME_KAFKA_BROKERS is not set\. Set it, for example to localhost:9092/
    )
    assert.strictEqual(unset.status, 3)
    const away = yield* runCli(["topics", "list", "--queue", "email"], { DUETIME_KAFKA_BROKERS: "127.0.0.1:1" })
    assert.match(away.stderr, /^BrokerUnavailable: /)
    assert.strictEqual(away.status, 5)
    const none = yield* runCli(["topics", "ensure", "--partitions", "0"])
    assert.match(none.stderr, /0 is not allowed; give a whole number from 1 to 1000/)
    assert.strictEqual(none.status, 2)
  })
)

onKafka("duetime topics", ({ brokers }) => {
  const fresh = (): Environment => ({
    DUETIME_KAFKA_BROKERS: brokers,
    DUETIME_KAFKA_PREFIX: uniqueName("cli"),
    DUETIME_KAFKA_PARTITIONS: "3"
  })
  const ask = Effect.fnUntraced(function* (env: Environment, ...args: ReadonlyArray<string>) {
    const { status, stderr, stdout } = yield* runCli(["topics", ...args, "--json"], env)
    assert.deepStrictEqual({ status, stderr }, { status: 0, stderr: "" })
    return JSON.parse(stdout) as unknown
  })
  const ensure = (env: Environment, ...args: ReadonlyArray<string>) =>
    Effect.map(
      ask(env, "ensure", ...args),
      (document) => (document as { readonly topics: ReadonlyArray<Topic> }).topics
    )
  const list = (env: Environment, ...args: ReadonlyArray<string>) =>
    Effect.map(ask(env, "list", ...args), (document) => document as ReadonlyArray<Topic>)
  const outcomes = (topics: ReadonlyArray<Topic>) => [...new Set(topics.map(({ outcome }) => outcome))]

  it.live("ensure makes a topic per priority once, widens it, and with --dry-run does neither", () =>
    Effect.gen(function* () {
      const env = fresh()
      const email = ["--queue", "email"]
      assert.deepStrictEqual(outcomes(yield* ensure(env, ...email, "--dry-run")), ["Created"])
      assert.isTrue((yield* list(env, ...email)).every(({ lag, partitions }) => partitions === 0 && lag === null))

      const made = yield* ensure(env, ...email)
      assert.includeMembers(
        made.map(({ topic }) => topic),
        priorities.map((priority) => `${env["DUETIME_KAFKA_PREFIX"]}.email.${priority}.v1`)
      )
      assert.deepStrictEqual(outcomes(made), ["Created"])
      assert.deepStrictEqual(outcomes(yield* ensure(env, ...email)), ["Ready"])

      const wider = ["--partitions", "5"]
      assert.include(outcomes(yield* ensure(env, ...email, ...wider, "--dry-run")), "Extended")
      const isEmail = ({ topic }: Topic) => topic.includes(".email.")
      assert.deepStrictEqual(
        (yield* list(env, ...email)).filter(isEmail).map(({ partitions }) => partitions),
        [3, 3, 3, 3]
      )
      assert.include(outcomes(yield* ensure(env, ...email, ...wider)), "Extended")
      const listed = (yield* list(env, ...email)).filter(isEmail)
      assert.deepStrictEqual(
        listed.map(({ lag, partitions }) => ({ lag, partitions })),
        priorities.map(() => ({ lag: 0, partitions: 5 }))
      )
    })
  )

  layer(database(), { excludeTestServices: true })("with a database", (it) => {
    it.effect("take the queues of the kinds that a worker has served, if none is named", () =>
      Effect.gen(function* () {
        const { url } = yield* TestDatabase
        const env = { ...fresh(), DUETIME_DATABASE_URL: url, DUETIME_UNSAFE_DURABILITY: "true" }
        yield* runCli(["migrate"], env)
        const none = yield* runCli(["topics", "ensure"], env)
        assert.match(none.stderr, /No worker has served a kind yet, so no queue is known\. Name one with --queue\./)

        yield* runCli(["schedule", "send-email"], env)
        assert.deepStrictEqual(yield* list(env), [], "a kind that nobody served has no known queue")
        yield* Session.use((session) => session.serve([{ ...defaultKindPolicy("send-email"), queue: "email" }])).pipe(
          Effect.provide(layerPostgres({ unsafeDurability: true }))
        )
        const text = yield* runCli(["topics", "list"], env)
        assert.match(text.stdout, /\.email\.critical\.v1 +missing/)
        assert.match(text.stderr, /missing or too narrow: "duetime topics ensure"/)
        const doctor = Effect.map(runCli(["doctor", "--json"], env), ({ stdout }) => {
          const { findings } = JSON.parse(stdout) as { findings: ReadonlyArray<Finding> }
          return findings.filter(({ check }) => check === "topics")
        })
        const found = yield* doctor
        assert.deepStrictEqual(
          found.flatMap(({ commands }) => commands.map(({ command }) => command)),
          ["duetime topics ensure --queue email"]
        )
        yield* runCli(["topics", "ensure", "--queue", "email"], env)
        assert.deepStrictEqual(yield* doctor, [])
      })
    )
  })
})
