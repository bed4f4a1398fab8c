/**
 * A real Kafka that carries the dispatches of recorded histories: one publisher, and a consumer group of two members, of which now and
 * then one leaves with what it has not acknowledged. A start waits for the record that gave the right to it.
 */
import { Clock, Context, Deferred, Effect, Exit, Layer, Scope } from "effect"
import { randomUUID } from "node:crypto"
import { Broker, type Dispatch } from "../../src/broker/Broker.ts"
import * as KafkaBroker from "../../src/broker/kafka/KafkaBroker.ts"
import * as KafkaSettings from "../../src/broker/kafka/KafkaSettings.ts"
import { KafkaTopics } from "../../src/broker/kafka/KafkaTopics.ts"
import { topicReader } from "./topicReader.ts"

export type ReplayedKafka = {
  /** Until Kafka has it. */
  readonly publish: (dispatches: ReadonlyArray<Dispatch>) => Effect.Effect<void>
  /** Waits until a member has been given what was published of these claims; answers what is wrong with it, null: nothing. */
  readonly arrived: (claims: ReadonlyArray<string>) => Effect.Effect<string | null>
  /** From now on a member takes what it is given and does not acknowledge it. */
  readonly hold: Effect.Effect<void>
  /**
   * That member leaves; another one joins, and the group begins a new generation. What was held has to come again. Answers what is wrong;
   * null: nothing.
   */
  readonly rebalance: Effect.Effect<string | null>
  /** When all is over: every record against what was published. */
  readonly judge: Effect.Effect<KafkaJudged>
}

export type KafkaJudged = {
  /** Dispatches that were published, that lie in the topics, and that members were given, repeats included. */
  readonly publishedCount: number
  readonly storedCount: number
  readonly takenCount: number
  readonly partitionsCount: number
  readonly rebalancesCount: number
  /** Dispatches that a member held when it left. */
  readonly heldCount: number
  readonly problems: ReadonlyArray<string>
}

/** All kinds of the simulated application are served by one queue. */
const queue = "default"
const membersCount = 2
const partitions = 4
/** Beyond a rebalance, in which nobody is given anything. */
const arrivalMsMax = 30_000
const againLookMs = 20
const room = { dispatchesMax: 1_000, nonCriticalMax: 1_000 }

type Claim = {
  readonly published: Array<Dispatch>
  readonly taken: Array<Dispatch>
  readonly isTaken: Deferred.Deferred<void>
}

/**
 * @param address `host:port`
 * @param broken for the test of the test: a publisher that does something else
 */
export const replayedKafka = Effect.fnUntraced(function* (
  address: string,
  broken: (broker: Broker["Service"]) => Broker["Service"] = (broker) => broker
): Effect.fn.Return<ReplayedKafka, unknown, Scope.Scope> {
  const prefix = `replay-${randomUUID()}`
  const settings = {
    ...KafkaSettings.defaults,
    brokers: [address],
    prefix,
    partitions,
    createTopics: true,
    mayBeAway: false
  }
  const scope = yield* Effect.scope
  const brokerIn = (own: Scope.Scope) => Layer.buildWithScope(Layer.fresh(KafkaBroker.layer(settings)), own)
  /** By the event of the claim. */
  const claims = new Map<string, Claim>()
  const claimOf = (id: string): Claim => {
    const known = claims.get(id)
    if (known !== undefined) return known
    const made: Claim = { published: [], taken: [], isTaken: Deferred.makeUnsafe() }
    claims.set(id, made)
    return made
  }
  const problems: Array<string> = []
  const sent: Array<Dispatch> = []
  let takenCount = 0
  let rebalancesCount = 0
  let heldCount = 0

  const join = Effect.fnUntraced(function* () {
    const own = yield* Scope.fork(scope)
    const subscription = yield* Context.get(yield* brokerIn(own), Broker)
      .consume(queue)
      .pipe(Scope.provide(own))
    const member = { isHolding: false, held: new Array<Dispatch>(), leave: Scope.close(own, Exit.void) }
    yield* subscription.take(room).pipe(
      Effect.flatMap((batch) => {
        takenCount += batch.length
        for (const dispatch of batch) {
          const claim = claimOf(dispatch.fence.eventId)
          claim.taken.push(dispatch)
          Deferred.doneUnsafe(claim.isTaken, Exit.void)
        }
        if (!member.isHolding) return subscription.acknowledge(batch)
        return Effect.sync(() => void member.held.push(...batch))
      }),
      Effect.retry({ times: 3 }),
      Effect.forever,
      Effect.forkIn(own)
    )
    return member
  })

  const services = yield* brokerIn(scope)
  yield* Context.get(services, KafkaTopics).ensure({ queues: [queue] })
  const publisher = broken(Context.get(services, Broker))
  const reader = yield* topicReader(address, prefix, queue)
  const members: Array<Effect.Success<ReturnType<typeof join>>> = []
  const publish = Effect.fnUntraced(function* (dispatches: ReadonlyArray<Dispatch>) {
    for (const dispatch of dispatches) {
      claimOf(dispatch.fence.eventId).published.push(dispatch)
      sent.push(dispatch)
    }
    const answers = yield* publisher.publish(dispatches)
    const refusedCount = answers.filter((answer) => answer === "Refused").length
    if (refusedCount > 0) problems.push(`${refusedCount} of ${dispatches.length} dispatches were refused`)
  }, Effect.orDie)

  while (members.length < membersCount) members.push(yield* join())

  const arrived = Effect.fnUntraced(function* (ids: ReadonlyArray<string>) {
    for (const id of ids) {
      const claim = claims.get(id)
      // A worker may have pulled it: nobody has sent it a dispatch.
      if (claim === undefined) continue
      const waited = yield* Deferred.await(claim.isTaken).pipe(Effect.timeoutOption(arrivalMsMax), inRealTime)
      if (waited._tag === "None") return `the dispatch of claim ${id} has come to nobody in ${arrivalMsMax} ms`
      const differs = claim.taken
        .map((dispatch) => differenceFrom(claim.published, dispatch))
        .find((one) => one !== null)
      if (differs !== undefined) return `a dispatch of claim ${id} ${differs}`
    }
    return null
  })

  const hold = Effect.sync(() => {
    const [first] = members
    if (first !== undefined) first.isHolding = true
  })
  const rebalance = Effect.gen(function* () {
    const leaving = members.shift()
    if (leaving === undefined) return "there is no member to leave"
    rebalancesCount++
    yield* leaving.leave
    const held = [...new Set(leaving.held.map(({ fence }) => fence.eventId))]
    heldCount += held.length
    const before = new Map(held.map((id) => [id, claimOf(id).taken.length]))
    members.push(yield* join())
    const again = Effect.gen(function* () {
      while (held.some((id) => claimOf(id).taken.length <= (before.get(id) ?? 0))) yield* Effect.sleep(againLookMs)
    })
    const waited = yield* again.pipe(Effect.timeoutOption(arrivalMsMax), inRealTime)
    return waited._tag === "Some" ? null : `what a member held when it left has not come again in ${arrivalMsMax} ms`
  }).pipe(Effect.orDie)

  const judge = Effect.gen(function* () {
    const read = yield* reader.partitions.pipe(Effect.timeoutOption(arrivalMsMax), inRealTime)
    const stored = read._tag === "Some" ? read.value : []
    if (read._tag === "None") problems.push(`the topics could not be read to their end in ${arrivalMsMax} ms`)
    problems.push(...reader.problems)
    for (const [id, { published, taken }] of claims) {
      if (published.length === 0) problems.push(`a member was given claim ${id}, which nobody has published`)
      const wanting = published.filter((one) => !taken.some((other) => isSame(one, other)))
      if (wanting.length > 0) problems.push(`${wanting.length} dispatches of claim ${id} have come to nobody`)
    }
    const storedCount = stored.reduce((sum, { dispatches }) => sum + dispatches.length, 0)
    if (storedCount !== sent.length)
      problems.push(`${sent.length} dispatches were published, ${storedCount} are stored`)
    const places = new Map<string, Array<number>>()
    for (const [index, dispatch] of sent.entries()) {
      const text = textOf(dispatch)
      places.set(text, [...(places.get(text) ?? []), index])
    }
    for (const { dispatches, name } of stored) {
      // In the order in which they were published.
      let last = -1
      for (const dispatch of dispatches) {
        const place = places.get(textOf(dispatch))?.find((index) => index > last)
        if (place === undefined)
          problems.push(`${name} has the dispatch of claim ${dispatch.fence.eventId} out of its order`)
        else last = place
      }
    }
    return {
      publishedCount: sent.length,
      storedCount,
      takenCount,
      partitionsCount: stored.length,
      rebalancesCount,
      heldCount,
      problems
    }
  })
  return { publish, arrived, hold, rebalance, judge }
})

const realClock = Clock.Clock.defaultValue()
const inRealTime = Effect.provideService(Clock.Clock, realClock)

/** All that a dispatch says. */
const textOf = ({ fence, ...rest }: Dispatch): string => {
  const { dispatchedAtMs, dueAtMs, isSuspect, kind, priority, queue: to, repeat, taskId } = rest
  const { eventId, version } = fence
  return JSON.stringify([taskId, version, eventId, kind, to, priority, dueAtMs, dispatchedAtMs, repeat, isSuspect])
}

const isSame = (one: Dispatch, other: Dispatch): boolean => textOf(one) === textOf(other)

const differenceFrom = (published: ReadonlyArray<Dispatch>, taken: Dispatch): string | null =>
  published.some((one) => isSame(one, taken)) ? null : `is not one that was published: ${JSON.stringify(taken)}`
