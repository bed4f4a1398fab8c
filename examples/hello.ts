import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Console, Layer, Schema } from "effect"
import { Engine, layerDev, Task, Worker } from "../src/index.ts"

const Greet = Task.define("greet", { payload: { name: Schema.String } })

const handlers = Greet.handle(({ name }) => Console.log(`Hello, ${name}!`))
const scheduled = Layer.effectDiscard(Greet.schedule({ name: "Ada" }, { in: "2 seconds" }))

Layer.mergeAll(handlers, scheduled, Engine.layer).pipe(
  Layer.provide(Worker.layer()),
  Layer.provide(layerDev()),
  Layer.launch,
  NodeRuntime.runMain
)
