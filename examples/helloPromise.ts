import { connect, layerDev, Schema, Task } from "../src/promise/index.ts"

const Greet = Task.define("greet", { payload: { name: Schema.String } })

const duetime = await connect({ layer: layerDev() })
await duetime.schedule(Greet, { name: "Ada" }, { in: "2 seconds" })
await duetime.handle(Greet, async ({ name }) => console.log(`Hello, ${name}!`)).work()
await duetime.close()
