import { Cause, Effect } from "effect"
import { atMost, type Floor } from "../report.ts"
import { type Contestant, type Contestants, nameOf } from "./peers.ts"
import { type Interval, intervalOf, median, ratiosOf } from "./ratio.ts"

/** What each contestant came to, round by round; null where it did not run or failed. */
export type Rounds<Result> = {
  readonly of: (contestant: Contestant) => ReadonlyArray<Result>
  /** One value of each round, for ratios. */
  readonly values: (contestant: Contestant, value: (result: Result) => number | null) => ReadonlyArray<number | null>
  /** `name`, and why. */
  readonly failures: Readonly<Record<string, string>>
}

/**
 * Each contestant once per round, one after the other, and each round begins with the next of them, so that nobody always runs first
 * or after the same neighbour. Modes that are there to show what nothing set means run in the first round alone.
 */
export const interleaved = <Result, R>(
  contestants: ReadonlyArray<Contestant>,
  rounds: number,
  run: (contestant: Contestant) => Effect.Effect<Result, unknown, R>
): Effect.Effect<Rounds<Result>, never, R> =>
  Effect.gen(function* () {
    const results = new Map<string, Array<Result | null>>()
    const failures: Record<string, string> = {}
    for (let round = 0; round < rounds; round++) {
      const first = round % contestants.length
      for (const contestant of [...contestants.slice(first), ...contestants.slice(0, first)]) {
        if (contestant.mode === "default" && round > 0) continue
        const name = nameOf(contestant)
        process.stderr.write(`round ${round + 1} of ${rounds}: ${name}\n`)
        const result = yield* run(contestant).pipe(
          Effect.catchCause((cause) => {
            if (Cause.hasInterruptsOnly(cause)) return Effect.interrupt
            failures[name] = Cause.pretty(cause)
            process.stderr.write(`${name} failed: ${failures[name]}\n`)
            return Effect.succeed(null)
          })
        )
        const all = results.get(name) ?? []
        all[round] = result
        results.set(name, all)
      }
    }
    const all = (contestant: Contestant) =>
      Array.from({ length: rounds }, (_, round) => results.get(nameOf(contestant))?.[round] ?? null)
    return {
      of: (contestant) => all(contestant).filter((result) => result !== null),
      values: (contestant, value) => all(contestant).map((result) => (result === null ? null : value(result))),
      failures
    }
  })

/** duetime over every other, round by round: above 1 is more of what is measured. Null: no round in which both have a value. */
export const ratioTo = <Result>(
  rounds: Rounds<Result>,
  [own, other]: readonly [own: Contestant, other: Contestant],
  value: (result: Result) => number | null,
  random: () => number
): Interval | null => {
  const ratios = ratiosOf(rounds.values(own, value), rounds.values(other, value))
  return ratios.length === 0 ? null : intervalOf(ratios, random)
}

export const medianOf = <Result>(
  rounds: Rounds<Result>,
  contestant: Contestant,
  value: (result: Result) => number | null
): number => median(rounds.values(contestant, value).filter((one) => one !== null))

/** How the results of one contestant become one figure each. */
export const overRounds = <Result extends { readonly stopped?: string }>(results: ReadonlyArray<Result>) => {
  const stopped = results.flatMap((one) => (one.stopped === undefined ? [] : [one.stopped]))
  return {
    /** Null: no round has a value. */
    middle: (value: (result: Result) => number | null): number | null => {
      const values = results.map(value).filter((one) => one !== null)
      return values.length === 0 ? null : median(values)
    },
    /** Of what must not happen: counted over all rounds. */
    sum: (value: (result: Result) => number): number => results.reduce((total, one) => total + value(one), 0),
    runs: { runs: results.length, ...(stopped.length === 0 ? {} : { stopped: stopped.join("; ") }) }
  }
}

/** Nothing early, lost or started twice, in any round. */
export const soundness = <
  Result extends { readonly missing: number; readonly startedTwice: number; readonly stopped?: string }
>(
  results: ReadonlyArray<Result>,
  early: (result: Result) => number
): ReadonlyArray<Floor> => {
  const { sum } = overRounds(results)
  const [missing, startedTwice] = [sum((one) => one.missing), sum((one) => one.startedTwice)]
  return [atMost("early", 0, sum(early)), atMost("tasks missing", 0, missing), atMost("started twice", 0, startedTwice)]
}

/** Who is ahead of duetime in what, by the medians, said before anything else is. */
export const aheadOf = <Result>(
  rounds: Rounds<Result>,
  [own, ...others]: Contestants,
  measures: Readonly<Record<string, { readonly value: (result: Result) => number | null; readonly more: boolean }>>
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(measures).map(([name, { more, value }]) => {
      const ours = medianOf(rounds, own, value)
      const ahead = others
        .map((contestant) => ({ contestant, theirs: medianOf(rounds, contestant, value) }))
        .filter(({ theirs }) => (more ? theirs > ours : theirs < ours))
        .map(
          ({ contestant, theirs }) => `${nameOf(contestant)} (${(more ? theirs / ours : ours / theirs).toFixed(2)}x)`
        )
      return [name, ahead.length === 0 ? "nobody" : ahead.join(", ")]
    })
  )
