import { Effect } from "effect"
import * as Server from "./server.ts"
import { cycle } from "./cycle.ts"
import { stages } from "./stages.ts"
import { inPlace, inPlaceDeleting } from "./inPlace.ts"
import { storedBytes } from "./probe.ts"
import { dayOf } from "./layout.ts"
import { daysFrom, load, seed, settle } from "./load.ts"
const rows = Number(process.argv[2])
const program = Effect.scoped(Effect.gen(function*() {
  const server = yield* Server.make
  const admin = yield* server.connect({})
  const today = dayOf(Date.now())
  const days = daysFrom(today)
  yield* seed(admin, rows, today)
  const layouts = [inPlace, inPlaceDeleting, stages]
  for (const layout of layouts) yield* load(server, admin, layout, days, layout.load)
  yield* settle(admin)
  for (const layout of layouts) console.log(layout.name, JSON.stringify(yield* storedBytes(admin, layout.schema)))
  for (const [batchSize, connections] of [[500,1],[1000,1],[500,2],[1000,2]] as const)
  for (let round = 0; round < 3; round++) {
    for (const layout of layouts) {
      console.log(JSON.stringify(yield* Effect.scoped(cycle(server, admin, layout, { batchSize, connections, tasks: 20000 }))))
    }
  }
}))
Effect.runPromise(program).then(() => console.log("ok"), (e) => { console.error(e); process.exit(1) })
