import { assert, it } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import * as MemoryBroker from "../../src/broker/MemoryBroker.ts"
import { Duetime } from "../../src/Duetime.ts"
import { Engine } from "../../src/engine/Engine.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import * as Task from "../../src/Task.ts"
import { Worker } from "../../src/worker/Worker.ts"

const Greet = Task.define("greet", { payload: { name: Schema.String } })

it.effect("a task runs at its due time and its result is recorded", () => {
  const greeted: Array<string> = []
  const handlers = Greet.handle(({ name }) =>
    Effect.sync(() => {
      greeted.push(name)
      return { hello: name }
    })
  )
  return Effect.gen(function* () {
    const { id } = yield* Greet.schedule({ name: "Ada" }, { in: "3 hours" })
    yield* TestClock.adjust("3 hours")
    const duetime = yield* Duetime
    const view = yield* duetime.get(id)
    assert.deepStrictEqual(greeted, ["Ada"])
    assert.strictEqual(view.status, "SUCCEEDED")
    assert.deepStrictEqual(view.result, { hello: "Ada" })
    console.log((yield* duetime.history(id)).map((e) => [e._tag, e.atMs]))
  }).pipe(
    Effect.provide(
      Layer.mergeAll(handlers, Engine.layer, Duetime.layer).pipe(
        Layer.provide(Worker.layer()),
        Layer.provideMerge(Layer.mergeAll(MemoryStore.layer, MemoryBroker.layer))
      )
    )
  )
})
