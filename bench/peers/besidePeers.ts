import { Effect } from "effect"
import { server } from "../server.ts"
import { peersDrift } from "./drift.ts"
import { type Contestant, type Contestants, contestantsOf, obstacleOf, peers, peersOf, versionsOf } from "./peers.ts"
import { redisSettings } from "./redis.ts"
import { spike } from "./spike.ts"
import { peersThroughput } from "./throughput.ts"

/** Scenarios that run beside peers, each contestant in processes of its own, on one server that is started here. */
export type PeersScenario = "throughput" | "drift" | "spike"

export type PeersOptions = {
  readonly rounds: number
  readonly tasks: number
  readonly slowTasks: number
  readonly ratePerSecond: number
  readonly seconds: number
  readonly limitSeconds: number
  readonly drainedPerSecond: number | null
  readonly random: () => number
}

export type PeersRun = {
  readonly scenario: PeersScenario
  readonly contestants: Contestants
}

/** `--peers` and `--modes` as what runs, or a sentence that says why it cannot. Undefined: the scenario runs without peers. */
export const peersRunOf = (
  scenario: string,
  list: string | undefined,
  modes: string
): PeersRun | string | undefined => {
  if (!isPeersScenario(scenario))
    return list === undefined ? undefined : `"${scenario}" does not run beside peers; throughput, drift and spike do`
  if (list === undefined)
    return scenario === "spike" ? { scenario, contestants: contestantsOf([], () => true) } : undefined
  const names = peersOf(list)
  if (typeof names === "string") return names
  const wanted = modes.split(",").map((mode) => mode.trim())
  const known = ["fast", "batch-100", "default"]
  const unknown = wanted.find((mode) => !known.includes(mode))
  if (unknown !== undefined) return `no mode "${unknown}"; choose among ${known.join(", ")}`
  return obstacleOf(names) ?? { scenario, contestants: contestantsOf(names, (mode) => wanted.includes(mode)) }
}

const isPeersScenario = (name: string): name is PeersScenario => ["throughput", "drift", "spike"].includes(name)

export const besidePeers = ({ contestants, scenario }: PeersRun, options: PeersOptions) =>
  Effect.gen(function* () {
    const names = [...new Set(contestants.map(({ peer }) => peer))]
    const outcome = yield* run(scenario, contestants, options)
    return {
      ...outcome,
      settings: {
        ...outcome.settings,
        contestants: Object.fromEntries(
          names.map((peer) => [peer, { keeps: peers[peer].keeps, ...modesOf(contestants, peer) }])
        ),
        versions: versionsOf(names),
        connections: "PostgreSQL by its unix socket, Redis by 127.0.0.1",
        ...(names.some((peer) => peers[peer].needsRedis) ? { redis: redisSettings } : {})
      }
    }
  }).pipe(Effect.provide(server))

const run = (scenario: PeersScenario, contestants: Contestants, options: PeersOptions) => {
  switch (scenario) {
    case "throughput":
      return peersThroughput({ contestants, ...options })
    case "drift":
      return peersDrift({ contestants, ...options })
    case "spike":
      return spike({ contestants, ...options })
  }
}

const modesOf = (contestants: Contestants, peer: Contestant["peer"]) =>
  Object.fromEntries(
    contestants.filter((one) => one.peer === peer).map(({ mode }) => [mode, peers[peer].modes[mode] ?? ""])
  )
