/** What the engines of the run declare, as a user writes it. */
import { Effect } from "effect"
import { Task } from "../../src/index.ts"

const Tick = Task.define("tick", { payload: {} })

/** One decided seconds ahead, one at its instant by whoever is there. */
export const recurrenceNames = ["ticks", "lone-ticks"] as const
const [ahead, atOnce] = recurrenceNames

export const tasks = [
  Tick.handle(() => Effect.void),
  Tick.recur(ahead, { every: "1 second", payload: {}, misfire: "all" }),
  Tick.recur(atOnce, { every: "1 second", payload: {}, misfire: "all", overlap: "skip" })
]
