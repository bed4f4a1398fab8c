/** One step of the memory store, done at once, whatever node asked for it and whether that node still lives. */
import { Context, Effect, Exit, Scheduler } from "effect"

/** Nothing yields, so nothing is ever scheduled. Made once: each context of its own costs more than most steps. */
const atOnce: Scheduler.Scheduler = {
  executionMode: "sync",
  shouldYield: () => false,
  makeDispatcher: () => ({
    scheduleTask: () => {
      throw new Error("a step of the store must not wait")
    },
    flush: () => {}
  })
}

const run = Effect.runForkWith(Context.make(Scheduler.Scheduler, atOnce))

export const applied = <A, E>(step: Effect.Effect<A, E>): Exit.Exit<A, E> =>
  // A step of a process that the database knows to be dead never ends.
  run(step).pollUnsafe() ?? Exit.die(new Error("this step of the store never ends"))
