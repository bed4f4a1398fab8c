/** One recorded history on the real servers, step by step: what they answer and what is in them must be what the simulation had. */
import { Effect } from "effect"
import { audit, auditKey, auditRow } from "../../src/core/audit.ts"
import type { StoredStream } from "../../src/store/TaskStore.ts"
import { type RecurrenceStore, recurrencePageMax } from "../../src/store/RecurrenceStore.ts"
import type { Breakage } from "../world/Breakage.ts"
import { policies } from "../world/handlers.ts"
import { clockStepMsMaxOf, type History, historyOf } from "../world/History.ts"
import { runHistory } from "../world/World.ts"
import { answerOf } from "./answers.ts"
import { Recording } from "./Recording.ts"
import type { ReplayedKafka } from "./replayedKafka.ts"
import { Renaming } from "./Renaming.ts"
import type { ReplayedPostgres } from "./replayedPostgres.ts"
import type { Call, Step } from "./Step.ts"

/** What has been found, where. */
export type Difference = {
  /** Of the steps of the history; null: when all were done. */
  readonly step: number | null
  readonly call: string
  readonly where: string
  readonly what: string
}

export type Replayed = {
  readonly seed: number
  readonly stepsCount: number
  readonly calls: ReadonlyMap<string, number>
  readonly tasksCount: number
  readonly eventsCount: number
  readonly dispatchesCount: number
  readonly failoversCount: number
  readonly difference: Difference | null
}

export type ReplayedServers = {
  readonly postgres: ReplayedPostgres
  /** Null: dispatches are left out. */
  readonly kafka: ReplayedKafka | null
}

/** @param rebalances in the middle of it a member of the consumer group leaves with what it holds */
export const replaySeed = Effect.fnUntraced(function* (
  seed: number,
  servers: ReplayedServers,
  options: { readonly rebalances?: boolean; readonly breakage?: Breakage | undefined } = {}
) {
  const history = historyOf(seed)
  const recording = new Recording()
  runHistory(history, options.breakage, undefined, recording)
  const replay = new Replay(servers)
  const difference =
    (yield* replay.run(recording.steps, options.rebalances === true)) ?? (yield* replay.judge(history, recording))
  const { calls, dispatchesCount, eventsCount, expected, failoversCount } = replay
  const replayed: Replayed = {
    seed,
    stepsCount: recording.steps.length,
    calls,
    tasksCount: expected.size,
    eventsCount,
    dispatchesCount,
    failoversCount,
    difference
  }
  return replayed
})

type FailOver = Extract<Step, { readonly _tag: "FailOver" }>

class Replay {
  readonly calls = new Map<string, number>()
  /** By the simulation's ids, as of now. */
  expected = new Map<string, StoredStream>()
  eventsCount = 0
  failoversCount = 0
  dispatchesCount = 0
  readonly #servers: ReplayedPostgres
  readonly #kafka: ReplayedKafka | null
  readonly #renaming = new Renaming()
  /** Calls whose commits are there, and what failovers have skipped. */
  #kept: Array<Call | FailOver> = []

  constructor({ kafka, postgres }: ReplayedServers) {
    this.#servers = postgres
    this.#kafka = kafka
  }

  readonly run = Effect.fnUntraced(function* (
    this: Replay,
    steps: ReadonlyArray<Step>,
    rebalances: boolean
  ): Effect.fn.Return<Difference | null> {
    yield* this.#servers.clear
    if (rebalances && this.#kafka !== null) yield* this.#kafka.hold
    for (const [index, step] of steps.entries()) {
      const isMiddle = rebalances && index === Math.floor(steps.length / 2)
      const found = (isMiddle ? yield* this.#rebalance : null) ?? (yield* this.#do(step))
      if (found !== null) return { ...found, step: index }
      if (step._tag !== "Publish") this.#kept.push(step)
    }
    return null
  })

  #do(step: Step): Effect.Effect<Difference | null> {
    return step._tag === "Publish"
      ? this.#publish(step)
      : step._tag === "Call"
        ? this.#call(step)
        : this.#failOver(step)
  }

  get #rebalance(): Effect.Effect<Difference | null> {
    if (this.#kafka === null) return Effect.succeed(null)
    return Effect.map(this.#kafka.rebalance, (what) =>
      what === null ? null : { step: null, call: "rebalance", where: "Kafka", what }
    )
  }

  readonly #publish = ({ dispatch }: Extract<Step, { readonly _tag: "Publish" }>): Effect.Effect<null> => {
    this.dispatchesCount++
    return this.#kafka === null
      ? Effect.succeed(null)
      : Effect.as(this.#kafka.publish([this.#renaming.as(dispatch)]), null)
  }

  readonly #call = Effect.fnUntraced(function* (this: Replay, call: Call) {
    const { asked, name } = call
    this.calls.set(name, (this.calls.get(name) ?? 0) + 1)
    // What a worker starts has come to it by Kafka, unless it has pulled it.
    const lost =
      call.claims.length === 0 || this.#kafka === null
        ? null
        : yield* this.#kafka.arrived(this.#renaming.as(call.claims))
    yield* this.#servers.setNow(call.databaseMs)
    const exit = yield* Effect.exit(Effect.suspend(() => call.again(this.#servers, this.#renaming.as, call)))
    const wrong = (where: string, what: string): Difference => ({
      step: null,
      call: `${name} ${JSON.stringify(asked)?.slice(0, askedTextMax) ?? ""} at ${call.atMs.toFixed(3)} ms`,
      where,
      what
    })
    if (lost !== null) return wrong("Kafka", lost)
    const answer = this.#renaming.difference(call.answer, answerOf(exit, call.shape))
    if (answer !== null) return wrong("answer", answer)
    if (call.touched.length === 0) return null
    for (const stream of call.touched) this.expected.set(stream.taskId, stream)
    const streams = yield* this.#streamsDiffer
    return streams === null ? null : wrong("events and projections", streams)
  })

  readonly #failOver = Effect.fnUntraced(function* (this: Replay, failover: FailOver) {
    this.failoversCount++
    // The standby has what was committed until then: the same calls, once more, in an empty database.
    this.#kept = this.#kept.filter(({ atMs }) => atMs <= failover.cutAtMs)
    this.expected = new Map()
    this.#renaming.restart()
    yield* this.#servers.clear
    for (const step of this.#kept) {
      const found = step._tag === "Call" ? yield* this.#call(step) : yield* this.#skip(step)
      if (found !== null) return { ...found, where: `${found.where}, in what a failover has left` }
    }
    return yield* this.#skip(failover)
  })

  readonly #skip = ({ sessionsLeftOutCount }: FailOver) =>
    Effect.as(this.#servers.skipSessions(sessionsLeftOutCount), null)

  get #streamsDiffer(): Effect.Effect<string | null> {
    return Effect.gen({ self: this }, function* () {
      const streams = yield* Effect.orDie(this.#servers.store.streams(null, streamsMax))
      const actual = new Map(streams.map((stream) => [stream.taskId, stream]))
      const without: Array<StoredStream> = []
      const compared = (stream: StoredStream, other: StoredStream) => {
        actual.delete(other.taskId)
        return this.#renaming.difference(stream, other)
      }
      for (const stream of this.expected.values()) {
        const other = actual.get(this.#renaming.idOf(stream.taskId))
        if (other === undefined) without.push(stream)
        else {
          const found = compared(stream, other)
          if (found !== null) return `task ${stream.taskId} ${found}`
        }
      }
      // What follows an end has an id made of that end's: known when that is.
      for (const stream of without) {
        const of = this.#renaming.as(followedOf(stream))
        const other = [...actual.values()].find((one) => of !== null && of === followedOf(one))
        if (other === undefined) return `task ${stream.taskId} is not there`
        const found = compared(stream, other)
        if (found !== null) return `task ${stream.taskId} ${found}`
      }
      const [more] = actual.keys()
      return more === undefined ? null : `task ${more} is there, and not in the simulation`
    })
  }

  /** When all is over: the auditor over the real database, and its rows against a rebuild. */
  readonly judge = Effect.fnUntraced(function* (
    this: Replay,
    history: History,
    recording: Recording
  ): Effect.fn.Return<Difference | null> {
    const wrong = (where: string, what: string): Difference => ({ step: null, call: "", where, what })
    const { projections, recurrences, store } = this.#servers
    // Also what was done where the simulation has done nothing.
    const differ = yield* this.#streamsDiffer
    if (differ !== null) return wrong("events and projections", differ)
    const streams = yield* Effect.orDie(store.streams(null, streamsMax))
    this.eventsCount = streams.reduce((sum, { events }) => sum + events.length, 0)
    const options = {
      policyOf: (kind: string) => policies.get(kind),
      clockStepMsMax: clockStepMsMaxOf(history)
    }
    const ledgers = this.#renaming.difference(recording.ledgers, yield* Effect.orDie(ledgersOf(recurrences)))
    if (ledgers !== null) return wrong("recurrences", ledgers)
    const rows = yield* Effect.orDie(projections.rows(null))
    const keyFaults = yield* Effect.orDie(projections.keyFaults)
    const [violation] = [...audit(streams, options), ...rows.items.flatMap(auditRow), ...keyFaults.map(auditKey)]
    if (violation !== undefined) return wrong("audit", `${violation.invariant}: ${violation.message}`)
    yield* Effect.orDie(projections.replace(streams.map(({ taskId }) => taskId)))
    const rebuilt = yield* Effect.orDie(store.streams(null, streamsMax))
    const same = new Renaming()
    same.as(streams)
    const differs = same.difference(streams, rebuilt)
    return differs === null ? null : wrong("rebuild", differs)
  })
}

/** Each recurrence as it is, with the fates of its instants. */
const ledgersOf = (recurrences: RecurrenceStore["Service"]) =>
  Effect.flatMap(recurrences.list(null, recurrencePageMax), (all) =>
    Effect.forEach(all, (recurrence) =>
      Effect.map(recurrences.ledger(recurrence.recurrenceId, 0, recurrencePageMax), (ledger) => ({
        recurrence,
        ledger
      }))
    )
  )

/** More tasks than a history has. */
const streamsMax = 1_000
const askedTextMax = 300

const followedOf = ({ events: [born] }: StoredStream): string | null =>
  born?._tag === "TaskScheduled" && born.follows !== undefined ? born.follows.taskId : null
