/** A tasks module that declares what recurs, as a user writes one. */
import { Effect } from "effect"
import { Task } from "../../../src/index.ts"

const Tick = Task.define("tick", { payload: {} })

export const tasks = [
  Tick.handle(() => Effect.void),
  Tick.recur("ticks", { every: "1 second", payload: {}, misfire: "all" }),
  // Decided at each instant, by whoever is there.
  Tick.recur("lone-ticks", { every: "1 second", payload: {}, misfire: "all", overlap: "skip" })
]
