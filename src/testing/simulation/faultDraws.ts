/** The faults of one history, drawn from its seed: at first which kinds of faults it has at all, then each of them. */
import { Draw } from "./Draw.ts"
import { type Fault, type FaultTag, handlerOperations, type Operation } from "./Fault.ts"

/** Kinds of faults that strike the handlers of users. */
export const faultTags = [
  "Crash",
  "CrashAtLeg",
  "Pause",
  "PauseAtLeg",
  "Lose",
  "Delay",
  "Duplicate",
  "Refuse",
  "PoolExhausted",
  "CutOff",
  "BrokerDown",
  "BrokerEmptied",
  "Unreliable"
] as const satisfies ReadonlyArray<FaultTag>
export type SimulatedFault = (typeof faultTags)[number]

export const isFaultTag = (tag: unknown): tag is SimulatedFault => faultTags.some((known) => known === tag)

// Of all operations those that have legs here: leases and recurrences are a step of the database at once, and what is due is started
// directly only by an engine that shares the worker's process.
const repeatable = ["schedule", "release", "start", "finish", "finishWith", "act"] as const
const met = [
  ...repeatable,
  "claim",
  "claimedBy",
  "pull",
  "expire",
  "takeParked",
  "reconcile",
  "serve",
  "expireTasks"
] as const
/** What handlers call themselves, and what begins and ends their attempts. */
const oftenMet = [...handlerOperations, "start", "finish", "finishWith"] as const

/** Per history. */
const faultsMax = 12
/** Half of them beyond a lease or an attempt's usual time. */
const forMsMin = 10
const forMsMax = 9_000

export const drawFaults = (
  seed: number,
  {
    chaosMs,
    nodes,
    tags
  }: { readonly chaosMs: number; readonly nodes: number; readonly tags: ReadonlyArray<SimulatedFault> }
): ReadonlyArray<Fault> => {
  const draw = new Draw(seed, "faults")
  const drawn = tags.filter(() => draw.chance(0.5))
  const [first, ...others] = drawn.length > 0 ? drawn : tags
  if (first === undefined) return []
  return draw.times(draw.integer(0, faultsMax), () => drawFault(draw, draw.pick([first, ...others]), chaosMs, nodes))
}

const drawFault = (draw: Draw, _tag: SimulatedFault, chaosMs: number, nodes: number): Fault => {
  const node = draw.integer(0, nodes - 1)
  // The client is the node after the last.
  const caller = draw.integer(0, nodes)
  const atMs = draw.integer(0, chaosMs)
  const forMs = draw.chance(0.5) ? draw.integer(forMsMin, forMsMax) : draw.integer(forMsMax / 2, forMsMax)
  // A node of a small workload makes few calls of a kind, and a fault that meets none does nothing.
  const nth = draw.chance(0.7) ? draw.integer(1, 2) : draw.integer(1, 6)
  const leg = draw.pick(["request", "reply"])
  const operation = drawOperation(draw)
  switch (_tag) {
    case "Crash":
      return { _tag, node, atMs, downMs: forMs }
    case "CrashAtLeg":
      return { _tag, node, operation, leg, nth, downMs: forMs }
    case "PauseAtLeg":
      return { _tag, node, operation, leg, nth, forMs }
    case "Lose":
      return { _tag, node: caller, operation, leg, nth }
    case "Delay":
      return { _tag, node: caller, operation, leg, nth, forMs }
    case "Duplicate":
      return { _tag, node: caller, operation: draw.pick(repeatable), nth }
    case "Refuse":
      return { _tag, node: caller, operation, nth }
    case "PoolExhausted":
      return { _tag, node: caller, atMs, forMs }
    case "Pause":
    case "CutOff":
      return { _tag, node, atMs, forMs }
    case "BrokerDown":
      return { _tag, atMs, forMs }
    case "BrokerEmptied":
      return { _tag, atMs }
    case "Unreliable":
      return { _tag, how: draw.pick(["lost", "repeated", "late"]), atMs, forMs }
  }
}

const drawOperation = (draw: Draw): Operation => (draw.chance(0.7) ? draw.pick(oftenMet) : draw.pick(met))

/** As text for people. */
export const faultText = (fault: Fault): string => {
  const { _tag, ...rest } = fault
  const words = Object.entries(rest).map(([name, value]) => `${name} ${value}`)
  return [_tag, ...words].join(" ")
}
