/**
 * An engine or a worker in a process of its own, armed with one point or with none, as the JSON of an `Order` in the first argument
 * says. It says `ready` to its parent, ends on SIGTERM, and does not outlive its parent.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Effect, Layer, Schema } from "effect"
import { Engine, Worker } from "../../src/index.ts"
import { handlerOf } from "./handlers.ts"
import { kindOf } from "./kinds.ts"
import { Order } from "./order.ts"
import { layerWith } from "./ports.ts"
import { Trigger } from "./Trigger.ts"

/** Attempts at the same time. */
const concurrency = 40

const order = Schema.decodeUnknownSync(Schema.fromJsonString(Order))(process.argv[2] ?? "")

const ready = Effect.sync(() => process.send?.("ready"))

const program = Layer.unwrap(
  Effect.map(Clock.Clock, (clock) => {
    const trigger = new Trigger(order.arming, clock)
    const handlers = order.kinds.map(({ family, name }) => handlerOf(kindOf(name, family), trigger, order.outsideUrl))
    const roles =
      order.role === "engine"
        ? Engine.layer
        : Layer.mergeAll(Layer.empty, ...handlers).pipe(Layer.provide(Worker.layer({ concurrency })))
    return Layer.effectDiscard(ready).pipe(Layer.provide(roles), Layer.provide(layerWith(trigger)))
  })
)

NodeRuntime.runMain(Layer.launch(program))
