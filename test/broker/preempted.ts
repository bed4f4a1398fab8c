/** Fibers that the runtime takes the turn from after a few steps, as it does after some thousand of a busy one. */
import { Effect, Scheduler } from "effect"

export const forkPreempted = <A, E, R>(effect: Effect.Effect<A, E, R>, opsPerTurn: number) =>
  Effect.forkChild(Effect.provideService(effect, Scheduler.MaxOpsBeforeYield, opsPerTurn), { startImmediately: true })

/** More than what is tried here takes. */
export const turnsMax = 30

/** Fewer steps than three, and the runtime yields for ever. */
export const preemptions: ReadonlyArray<{ readonly opsPerTurn: number; readonly turns: number }> = [
  3, 4, 5, 6, 7, 8
].flatMap((opsPerTurn) => Array.from({ length: turnsMax }, (_, turns) => ({ opsPerTurn, turns })))

export const turnsOfOthers = (count: number) =>
  Effect.gen(function* () {
    for (let turn = 0; turn < count; turn++) yield* Effect.yieldNow
  })
