/** The kinds of every sequence: what the spec knows of their policies, and the policies that the stores are given. */
import type { KindPolicy } from "../../src/core/KindPolicy.ts"
import type { RetryPolicy } from "../../src/core/RetryPolicy.ts"
import type { Rules } from "./facts.ts"

type Kind = { readonly rules: Rules; readonly policy: KindPolicy }

const kindOf = (
  rules: Omit<Rules, "delayMs"> & { readonly delay: RetryPolicy["delay"]; readonly delayMs: Rules["delayMs"] }
): Kind => {
  const { attemptsMax, deathsMax, delay, kind, parks, queue } = rules
  const retry: RetryPolicy = { attemptsMax, delay, jitter: "none" }
  const fixed = { priority: "normal", timeoutMs: 60_000, dueJitter: null, caps: null } as const
  return {
    rules,
    policy: { kind, queue, retry, onInterrupted: parks ? "park" : "retry", deathsMax, ...fixed }
  }
}

export const kinds: ReadonlyArray<Kind> = [
  kindOf({
    kind: "listed",
    queue: "one",
    attemptsMax: 3,
    parks: false,
    deathsMax: 2,
    delay: { _tag: "Listed", delaysMs: [0, 700] },
    delayMs: (charged) => (charged === 1 ? 0 : 700)
  }),
  kindOf({
    kind: "parks",
    queue: "one",
    attemptsMax: 2,
    parks: true,
    deathsMax: 1,
    delay: { _tag: "Exponential", baseMs: 1_000, factor: 3, capMs: 2_500 },
    delayMs: (charged) => (charged === 1 ? 1_000 : 2_500)
  }),
  kindOf({
    kind: "once",
    queue: "two",
    attemptsMax: 1,
    parks: false,
    deathsMax: 3,
    delay: { _tag: "Fixed", delayMs: 1_000 },
    delayMs: () => 1_000
  }),
  kindOf({
    kind: "many",
    queue: "two",
    attemptsMax: 9,
    parks: false,
    deathsMax: 4,
    delay: { _tag: "Fixed", delayMs: 300 },
    delayMs: () => 300
  })
]

export const kindNames: ReadonlyArray<string> = kinds.map(({ rules }) => rules.kind)
export const queueNames: ReadonlyArray<string> = ["one", "two"]

export const rulesOf = (name: string): Rules => kindNamed(name).rules
export const policyOf = (name: string): KindPolicy => kindNamed(name).policy

const kindNamed = (name: string): Kind => {
  const found = kinds.find(({ rules }) => rules.kind === name)
  if (found === undefined) throw new Error(`no kind is called ${name}`)
  return found
}

/** Leases of the three sessions that every sequence begins with, ms; the last one passes within a long sequence. Nobody renews them. */
export const leasesMs: ReadonlyArray<number> = [3_600_000, 3_600_000, 15_000]
