import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { setImmediate } from "node:timers/promises"
import { ConfigInvalid } from "../../src/DuetimeError.ts"
import { connect, layerMemory, RetryPolicy, Schema, Task } from "../../src/promise/index.ts"

const Greet = Task.define("greet", {
  payload: { name: Schema.String },
  result: Schema.Struct({ text: Schema.String }),
  retry: RetryPolicy.never
})

const open = () => connect({ layer: layerMemory })

describe("without Effect", () => {
  it("a kind is scheduled, handled and looked up, and closing stops the work", async () => {
    await using duetime = await open()
    const greeted = Promise.withResolvers<string>()
    const working = duetime
      .handle(Greet, async ({ name }, { number }) => {
        greeted.resolve(`${name} ${number}`)
        return { text: `Hello, ${name}!` }
      })
      .work({ onSignals: false })
    const { created, id } = await duetime.schedule(Greet, { name: "Ada" })
    assert.isTrue(created)
    assert.strictEqual(await greeted.promise, "Ada 1")
    let view = await duetime.get(id)
    while (view.stage === "running") {
      await setImmediate()
      view = await duetime.get(id)
    }
    assert.strictEqual(view.status, "SUCCEEDED")
    assert.deepStrictEqual(view.result, { text: "Hello, Ada!" })
    await duetime.close()
    await working
  })

  it("a task names what follows it, which runs after it", async () => {
    await using duetime = await open()
    const followed = Promise.withResolvers<string>()
    const working = duetime
      .handle(Greet, async ({ name }) => {
        if (name === "Bob") followed.resolve(name)
        return { text: `Hello, ${name}!` }
      })
      .work({ onSignals: false })
    const { id } = await duetime.schedule(Greet, { name: "Ada" }, { onSuccess: Greet.follow({ name: "Bob" }) })
    assert.strictEqual(await followed.promise, "Bob")
    const [followerId = ""] = (await duetime.get(id)).followedBy
    assert.strictEqual((await duetime.get(followerId)).follows, id)
    await duetime.close()
    await working
  })

  it("a signal stops the work, and the attempt under way may end before", async () => {
    await using duetime = await open()
    const stopper = new AbortController()
    const begun = Promise.withResolvers<void>()
    const mayEnd = Promise.withResolvers<void>()
    const working = duetime
      .handle(Greet, async () => {
        begun.resolve()
        await mayEnd.promise
        return { text: "done" }
      })
      .work({ onSignals: false, signal: stopper.signal })
    const { id } = await duetime.schedule(Greet, { name: "Ada" })
    await begun.promise
    stopper.abort()
    await setImmediate()
    mayEnd.resolve()
    await working
    assert.strictEqual((await duetime.get(id)).stage, "succeeded")
  })

  it("a kind that parks may be given a reconciler, and one that does not is refused it", async () => {
    await using duetime = await open()
    const handler = async () => ({ text: "" })
    const reconcile = async () => Task.done({ text: "Hello!" })
    const Parking = Task.define("parking", {
      payload: {},
      result: Schema.Struct({ text: Schema.String }),
      onInterrupted: "park"
    })
    assert.strictEqual(duetime.handle(Parking, handler, { reconcile }), duetime)
    assert.throws(() => duetime.handle(Greet, handler, { reconcile }), /OptionsRejected: onInterrupted is 'retry'/)
  })

  it("a kind is paused and resumed", async () => {
    await using duetime = await open()
    const greeted = Promise.withResolvers<string>()
    await duetime.pause({ kind: "greet" })
    const { id } = await duetime.schedule(Greet, { name: "Ada" })
    const working = duetime
      .handle(Greet, async ({ name }) => {
        greeted.resolve(name)
        return { text: "" }
      })
      .work({ onSignals: false })
    for (let turn = 0; turn < 100; turn++) await setImmediate()
    assert.strictEqual((await duetime.get(id)).stage, "pending")
    await duetime.resume({ kind: "greet" })
    assert.strictEqual(await greeted.promise, "Ada")
    await duetime.close()
    await working
  })

  it("rejects with the tagged errors themselves", async () => {
    await using duetime = await open()
    await rejects(duetime.schedule(Greet, JSON.parse("{}")), "PayloadRejected")
    await rejects(duetime.schedule(Greet, { name: "Ada" }, { in: -1 }), "OptionsRejected")
    await duetime.schedule(Greet, { name: "Ada" }, { key: "k", in: "1 hour" })
    await rejects(duetime.schedule(Greet, { name: "Bob" }, { key: "k" }), "KeyConflict")
    await rejects(duetime.get("019f0000-0000-7000-8000-000000000000"), "TaskNotFound")
    const { id } = await duetime.schedule(Greet, { name: "Ada" }, { in: "1 hour" })
    await rejects(duetime.redrive(id), "InvalidTransition")
    await rejects(duetime.work(), "OptionsRejected")
  })

  it("a second handler of a kind is refused where it is added, and the first one stays", async () => {
    await using duetime = await open()
    duetime.handle(Greet, async () => ({ text: "first" }))
    const message = /HandlerConflict: the kind "greet" already has a handler in this worker/
    assert.throws(() => duetime.handle(Greet, async () => ({ text: "second" })), message)
    const working = duetime.work({ onSignals: false })
    const { id } = await duetime.schedule(Greet, { name: "Ada" })
    const end = await duetime.awaitEnd(id)
    assert.deepInclude(end, { _tag: "Succeeded", result: { text: "first" } })
    await duetime.close()
    await working
  })

  it("a connection that cannot be opened rejects at once", async () => {
    const error = new ConfigInvalid({ name: "X", problem: "is not set", wayOut: "Set it" })
    await rejects(connect({ layer: Layer.provide(layerMemory, failing(error)) }), "ConfigInvalid")
  })
})

const failing = <E>(error: E) => Layer.effectDiscard(Effect.fail(error))

const rejects = async (promise: Promise<unknown>, tag: string) => {
  const error: unknown = await promise.then(
    () => assert.fail("it did not reject"),
    (reason: unknown) => reason
  )
  assert.instanceOf(error, Error)
  assert.propertyVal(error, "_tag", tag)
}
