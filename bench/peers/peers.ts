import { existsSync, readFileSync } from "node:fs"
import { spawnSync } from "node:child_process"
import type { Mode, Peer } from "./contestant.ts"

/** One peer in one mode, as it stands in a report. */
export type Contestant = { readonly peer: Peer; readonly mode: Mode }

/** duetime is the first. */
export type Contestants = readonly [Contestant, ...ReadonlyArray<Contestant>]

type PeerFacts = {
  /** In this folder. */
  readonly file: string
  /** Of bench/package.json, the first is the one that the peer is known by. */
  readonly packages: ReadonlyArray<string>
  /** What each mode sets, in the peer's own words. */
  readonly modes: Partial<Record<Mode, string>>
  readonly needsRedis: boolean
  /** What is left in its store when a task is done. */
  readonly keeps: string
  readonly hasPriorities: boolean
  /** Modes that do well below 4,000 tasks/s, and get fewer of them. */
  readonly slow: ReadonlyArray<Mode>
  /** Time to schedule a spike of 20,000 and 10 s more. */
  readonly spikeLeadMs: number
}

const pgBossTuned = (batchSize: number) =>
  `batchSize ${batchSize}, localConcurrency 2, burstWhenBatchFull, own partition, LISTEN/NOTIFY, polling 0.5 s`

/** The settings of `fast` were found by a sweep over a drain of due tasks; large batches make the first of them wait. */
export const peers: Readonly<Record<Peer, PeerFacts>> = {
  duetime: {
    file: "duetime.ts",
    packages: [],
    modes: { fast: "engine and worker in one process, concurrency 500, 10 connections of the application" },
    needsRedis: false,
    keeps: "the whole history: 4 events of each task",
    hasPriorities: true,
    slow: [],
    spikeLeadMs: 14_000
  },
  "pg-boss": {
    file: "pgBoss.ts",
    packages: ["pg-boss", "pg"],
    modes: {
      fast: pgBossTuned(2_000),
      "batch-100": pgBossTuned(100),
      default: "batchSize 1, polling 2 s"
    },
    needsRedis: false,
    keeps: "the row",
    hasPriorities: true,
    slow: ["default"],
    spikeLeadMs: 14_000
  },
  "graphile-worker": {
    file: "graphileWorker.ts",
    packages: ["graphile-worker", "pg"],
    modes: {
      fast: "localQueue 5000, concurrentJobs 24, completeJobBatchDelay 0, pollInterval 100 ms",
      default: "concurrentJobs 1, pollInterval 2 s"
    },
    needsRedis: false,
    keeps: "nothing",
    hasPriorities: true,
    slow: ["default"],
    spikeLeadMs: 14_000
  },
  bullmq: {
    file: "bullmq.ts",
    packages: ["bullmq", "ioredis"],
    modes: {
      fast: "concurrency 50, removeOnComplete; Redis appendonly, appendfsync everysec",
      default: "concurrency 1, completed jobs kept; Redis appendonly, appendfsync everysec"
    },
    needsRedis: true,
    keeps: "nothing when fast, the job by default",
    hasPriorities: true,
    slow: ["default"],
    spikeLeadMs: 16_000
  },
  "effect-queue": {
    file: "effectQueue.ts",
    packages: [],
    modes: {
      fast: "PersistedQueue on SQL, pollInterval 10 ms, 200 takers, 20 connections",
      default: "PersistedQueue on SQL, pollInterval 1 s, 1 taker, 10 connections"
    },
    needsRedis: false,
    keeps: "the row",
    hasPriorities: false,
    slow: ["default", "fast"],
    spikeLeadMs: 25_000
  }
}

export const moduleOf = (peer: Peer): string => new URL(`./${peers[peer].file}`, import.meta.url).href

export const nameOf = ({ mode, peer }: Contestant): string => (peer === "duetime" ? peer : `${peer} ${mode}`)

export const isPeer = (name: string): name is Peer => Object.hasOwn(peers, name)

export const isSlow = ({ mode, peer }: Contestant): boolean => peers[peer].slow.includes(mode)

/** duetime first, then every peer in every mode that the filter lets through. */
export const contestantsOf = (names: ReadonlyArray<Peer>, isWanted: (mode: Mode) => boolean): Contestants => [
  { peer: "duetime", mode: "fast" },
  ...names.flatMap((peer) =>
    (["fast", "batch-100", "default"] as const)
      .filter((mode) => peers[peer].modes[mode] !== undefined && isWanted(mode))
      .map((mode) => ({ peer, mode }))
  )
]

/** `a,b` as peers, or a sentence that says what is wrong with it. */
export const peersOf = (list: string): ReadonlyArray<Peer> | string => {
  const names = list.split(",").map((name) => name.trim())
  const known = Object.keys(peers).filter((name) => name !== "duetime")
  const unknown = names.filter((name) => !known.includes(name))
  return unknown.length === 0 ? names.filter(isPeer) : `no peer "${unknown[0]}"; choose among ${known.join(", ")}`
}

const benchFolder = new URL("../", import.meta.url)

const manifestOf = (file: URL): Record<string, unknown> => JSON.parse(readFileSync(file, "utf8"))

const pinned = (): Record<string, string> => {
  const { dependencies }: { dependencies?: Record<string, string> } = manifestOf(new URL("package.json", benchFolder))
  return dependencies ?? {}
}

const installedVersion = (name: string): string | undefined => {
  const file = new URL(`node_modules/${name}/package.json`, benchFolder)
  return existsSync(file) ? String(manifestOf(file)["version"]) : undefined
}

/** Which of these packages of bench/package.json is not there as it is pinned, and the way out; undefined if all are. */
export const missingOf = (
  packages: ReadonlyArray<string>,
  versionOf: (name: string) => string | undefined = installedVersion
): string | undefined => {
  const wanted = pinned()
  for (const name of new Set(packages)) {
    const found = versionOf(name)
    if (found !== wanted[name])
      return `${name} ${wanted[name]} is ${found === undefined ? "not installed" : `there as ${found}`}; run npm run bench:install`
  }
  return undefined
}

/** Why these peers cannot run here and what to do about it; undefined if they can. */
export const obstacleOf = (
  names: ReadonlyArray<Peer>,
  versionOf: (name: string) => string | undefined = installedVersion,
  hasRedis: () => boolean = () => spawnSync("redis-server", ["--version"]).status === 0
): string | undefined => {
  const missing = missingOf(
    names.flatMap((peer) => peers[peer].packages),
    versionOf
  )
  if (missing !== undefined) return missing
  return names.some((peer) => peers[peer].needsRedis) && !hasRedis()
    ? "redis-server is not on the PATH; install Redis (Debian: apt install redis-server), or leave bullmq out of --peers"
    : undefined
}

/** For the report: versions of what took part. */
export const versionsOf = (names: ReadonlyArray<Peer>): Record<string, string> => ({
  ...Object.fromEntries(
    names.flatMap((peer) => peers[peer].packages).map((name) => [name, installedVersion(name) ?? "unknown"])
  ),
  ...(names.includes("effect-queue")
    ? { effect: String(manifestOf(new URL("../node_modules/effect/package.json", benchFolder))["version"]) }
    : {}),
  ...(names.some((peer) => peers[peer].needsRedis)
    ? { redis: /v=([\d.]+)/.exec(String(spawnSync("redis-server", ["--version"]).stdout))?.[1] ?? "unknown" }
    : {})
})
