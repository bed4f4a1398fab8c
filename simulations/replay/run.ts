/** Many histories, one after the other, in lanes with a database each and one Kafka for all. It stops at the first that differs. */
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { Reactivity } from "effect/reactivity"
import type { Address } from "../spec/controlledPostgres.ts"
import type { Breakage } from "../world/Breakage.ts"
import { type Replayed, replaySeed } from "./replay.ts"
import { type KafkaJudged, replayedKafka } from "./replayedKafka.ts"
import { replayedPostgres } from "./replayedPostgres.ts"

export type ReplaysOptions = {
  readonly runs: number
  readonly seed: number
  /** A server where databases may be made, one for each lane. */
  readonly server: Address
  readonly lanes: number
  /** `host:port`; null: dispatches are left out. */
  readonly kafka: string | null
  readonly breakage?: Breakage | undefined
  /** Whether to go on with the next one. */
  readonly goesOn: () => boolean
  readonly tell: (what: string) => void
}

export type Replays = { readonly replayed: ReadonlyArray<Replayed>; readonly kafka: KafkaJudged | null }

/** Of so many histories one has a rebalance in its middle. */
const rebalanceEvery = 10
/** Between two lines of progress. */
const tellEveryRuns = 5

export const runAll = Effect.fnUntraced(function* (options: ReplaysOptions) {
  const { breakage, goesOn, lanes, runs, seed: firstSeed, server, tell } = options
  const databases = yield* databasesOn(server, lanes)
  const kafka = options.kafka === null ? null : yield* replayedKafka(options.kafka)
  const replayed: Array<Replayed> = []
  let takenCount = 0
  let differs = false
  yield* Effect.forEach(
    databases,
    (address) =>
      Effect.gen(function* () {
        const postgres = yield* replayedPostgres(address)
        while (takenCount < runs && !differs && goesOn()) {
          const index = takenCount++
          const rebalances = index % rebalanceEvery === rebalanceAt
          const one = yield* replaySeed(firstSeed + index, { postgres, kafka }, { rebalances, breakage })
          replayed.push(one)
          if (one.difference !== null) {
            differs = true
            tell(`seed ${one.seed} differs`)
          }
          if (replayed.length % tellEveryRuns === 0) tell(`${replayed.length}/${runs} histories`)
        }
      }),
    { concurrency: "unbounded", discard: true }
  )
  // Where it has been stopped, something may be on its way still.
  const isWhole = !differs && replayed.length === runs
  const judged: KafkaJudged | null = kafka === null || !isWhole ? null : yield* kafka.judge
  const answer: Replays = { replayed: replayed.toSorted((one, other) => one.seed - other.seed), kafka: judged }
  return answer
}, Effect.scoped)

/** Not the first one: members are still coming. */
const rebalanceAt = 5

const databasesOn = Effect.fnUntraced(function* (server: Address, count: number) {
  const client = yield* PgClient.make({ ...server, maxConnections: 1 }).pipe(Effect.provide(Reactivity.layer))
  const addresses: Array<Address> = []
  for (let lane = 0; lane < count; lane++) {
    const database = `replay_${lane}`
    yield* client.unsafe(`CREATE DATABASE ${database}`)
    addresses.push({ ...server, database })
  }
  return addresses
})
