/**
 * The laws of the port to the broker, for every adapter. Deliveries may take time and repeat, so a law waits for what must
 * come and never asserts that nothing else comes, but for what the adapter itself counts (its lag, in the end).
 */
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Fiber, type Layer, Queue, Ref } from "effect"
import { Broker, type Dispatch, type Room, type Subscription } from "../../src/broker/Broker.ts"
import { priorities, type Priority } from "../../src/core/Priority.ts"

export const brokerContract = (name: string, brokerLayer: Layer.Layer<Broker>) => {
  layer(brokerLayer, { timeout: "60 seconds" })(`${name} keeps the contract of a broker`, (it) => {
    it.effect("what is published arrives with every field as it was", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const sent = dispatchOf({ queue, priority: "high", fenceVersion: 7, dueAtMs: 1_700_000_000_123.25 })
        const subscription = yield* broker.consume(queue)
        assert.deepStrictEqual(yield* broker.publish([sent]), ["Published"])
        const [received] = yield* subscription.take(roomFor(10))
        assert.deepStrictEqual({ ...received }, sent)
      }).pipe(Effect.scoped)
    )

    it.effect("a batch is answered dispatch by dispatch and in order", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const batch = Array.from({ length: 300 }, () => dispatchOf({ queue }))
        const subscription = yield* broker.consume(queue)
        const answers = yield* broker.publish(batch)
        assert.strictEqual(answers.length, 300)
        assert.isTrue(answers.every((answer) => answer === "Published"))
        const received = yield* takeAtLeast(subscription, 300)
        assert.deepStrictEqual(received.map(idOf).toSorted(), batch.map(idOf).toSorted())
      }).pipe(Effect.scoped)
    )

    it.effect("an empty batch is nothing to answer", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        assert.deepStrictEqual(yield* broker.publish([]), [])
      })
    )

    it.effect("take waits for the first dispatch and never brings more than asked for", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const subscription = yield* broker.consume(queue)
        const waiting = yield* Effect.forkChild(subscription.take(roomFor(2)), { startImmediately: true })
        yield* broker.publish(Array.from({ length: 5 }, () => dispatchOf({ queue })))
        const first = yield* Fiber.join(waiting)
        assert.isTrue(first.length >= 1 && first.length <= 2)
        const rest = yield* takeAtLeast(subscription, 5 - first.length)
        assert.strictEqual(new Set([...first, ...rest].map(idOf)).size, 5)
      }).pipe(Effect.scoped)
    )

    it.effect("what is declined comes again, or is at least not counted any more", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const subscription = yield* broker.consume(queue)
        yield* broker.publish([dispatchOf({ queue }), dispatchOf({ queue })])
        const taken = yield* takeAtLeast(subscription, 2)
        yield* subscription.decline(taken)
        const comesAgain = Effect.gen(function* () {
          const again = yield* takeAtLeast(subscription, 2)
          assert.deepStrictEqual(again.map(idOf), taken.map(idOf))
          yield* subscription.acknowledge(again)
        })
        yield* Effect.raceFirst(comesAgain, eventuallyLag(broker, queue, noLag))
      }).pipe(Effect.scoped)
    )

    it.effect("a queue gets only its own dispatches", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const [mine, other] = [yield* usedQueue(broker), yield* usedQueue(broker)]
        const subscription = yield* broker.consume(mine)
        yield* broker.publish([dispatchOf({ queue: other }), dispatchOf({ queue: mine }), dispatchOf({ queue: other })])
        const received = yield* subscription.take(roomFor(10))
        assert.deepStrictEqual(
          received.map((dispatch) => dispatch.queue),
          [mine]
        )
      }).pipe(Effect.scoped)
    )

    it.effect("consumers of one queue share its dispatches", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const received = yield* Ref.make<ReadonlyArray<string>>([])
        const consumer = Effect.gen(function* () {
          const subscription = yield* broker.consume(queue)
          while ((yield* Ref.get(received)).length < 100) {
            const batch = yield* subscription.take(roomFor(5))
            yield* subscription.acknowledge(batch)
            yield* Ref.update(received, (before) => [...before, ...batch.map(idOf)])
          }
        })
        const consumers = Effect.raceFirst(Effect.scoped(consumer), Effect.scoped(consumer))
        const fiber = yield* Effect.forkChild(consumers, { startImmediately: true })
        const batch = Array.from({ length: 100 }, () => dispatchOf({ queue }))
        yield* broker.publish(batch)
        yield* Fiber.join(fiber)
        assert.deepStrictEqual((yield* Ref.get(received)).toSorted(), batch.map(idOf).toSorted())
      })
    )

    it.effect("nobody waits while there is something to take", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const subscription = yield* broker.consume(queue)
        const waiting = yield* Effect.forEach([1, 2, 3], () =>
          Effect.forkChild(subscription.take(roomFor(1)), { startImmediately: true })
        )
        const batch = waiting.map(() => dispatchOf({ queue }))
        yield* broker.publish(batch)
        const received = yield* Effect.forEach(waiting, (fiber) => Fiber.join(fiber))
        assert.deepStrictEqual(received.flat().map(idOf).toSorted(), batch.map(idOf).toSorted())
      }).pipe(Effect.scoped)
    )

    it.effect("the lag counts by priority what is published and not acknowledged", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        yield* broker.publish([
          dispatchOf({ queue, priority: "critical" }),
          dispatchOf({ queue, priority: "low" }),
          dispatchOf({ queue, priority: "low" })
        ])
        yield* eventuallyLag(broker, queue, { critical: 1, high: 0, normal: 0, low: 2 })
        // Only now: a broker of the fleet drops what a consumer does not take.
        const subscription = yield* broker.consume(queue)
        const received = yield* takeAtLeast(subscription, 3)
        yield* eventuallyLag(broker, queue, { critical: 1, high: 0, normal: 0, low: 2 })
        yield* subscription.acknowledge(received.filter((dispatch) => dispatch.priority === "low"))
        yield* eventuallyLag(broker, queue, { critical: 1, high: 0, normal: 0, low: 0 })
        yield* subscription.acknowledge(received)
        yield* eventuallyLag(broker, queue, { critical: 0, high: 0, normal: 0, low: 0 })
      }).pipe(Effect.scoped)
    )

    it.effect("what waits together is taken the most urgent first", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const lanes: ReadonlyArray<Priority> = ["low", "normal", "critical", "high", "low", "critical"]
        yield* broker.publish(lanes.map((priority) => dispatchOf({ queue, priority })))
        const subscription = yield* broker.consume(queue)
        const received = yield* takeAtLeast(subscription, lanes.length, 1)
        assert.deepStrictEqual(
          received.map((dispatch) => dispatch.priority),
          ["critical", "critical", "high", "normal", "low", "low"]
        )
      }).pipe(Effect.scoped)
    )

    it.effect("what a consumer took and did not acknowledge comes to the next one", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const batch = Array.from({ length: 4 }, () => dispatchOf({ queue }))
        yield* broker.publish(batch)
        const acknowledged = yield* Effect.scoped(
          Effect.gen(function* () {
            const subscription = yield* broker.consume(queue)
            const [first, ...others] = yield* takeAtLeast(subscription, 4)
            assert.strictEqual(others.length, 3)
            if (first === undefined) return undefined
            yield* subscription.acknowledge([first])
            return first
          })
        )
        const next = yield* broker.consume(queue)
        const missing = new Set(batch.map(idOf).filter((id) => acknowledged === undefined || id !== idOf(acknowledged)))
        // The acknowledged one may come again beside those it travelled with.
        while (missing.size > 0) for (const received of yield* takeAtLeast(next, 1)) missing.delete(idOf(received))
      }).pipe(Effect.scoped)
    )

    it.effect("an interrupted take loses nothing", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const subscription = yield* broker.consume(queue)
        const waiting = yield* Effect.forkChild(subscription.take(roomFor(1)), { startImmediately: true })
        yield* Fiber.interrupt(waiting)
        const sent = dispatchOf({ queue })
        yield* broker.publish([sent])
        assert.deepStrictEqual((yield* subscription.take(roomFor(1))).map(idOf), [idOf(sent)])
      }).pipe(Effect.scoped)
    )

    it.effect("a hint may be repeated and then arrives twice", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const queue = yield* usedQueue(broker)
        const subscription = yield* broker.consume(queue)
        const sent = dispatchOf({ queue })
        yield* broker.publish([sent, sent])
        const received = yield* takeAtLeast(subscription, 2)
        assert.deepStrictEqual(received.map(idOf), [idOf(sent), idOf(sent)])
        yield* subscription.acknowledge(received)
        yield* eventuallyLag(broker, queue, noLag)
      }).pipe(Effect.scoped)
    )

    it.effect("what is told to be started arrives where a broker of the fleet is listened to", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const hints = yield* broker.startedHints
        const told = Array.from({ length: 2_500 }, () => dispatchOf({ queue: "any" }).fence.eventId)
        if (broker.reach === "process") return yield* broker.tellStarted(told)
        const heard = new Set<string>()
        const hear = Effect.gen(function* () {
          while (told.some((id) => !heard.has(id))) for (const id of yield* Queue.take(hints)) heard.add(id)
        })
        // Who has only just begun to listen may miss some: they are hints, and here they are told until they are heard.
        const tell = Effect.forever(Effect.andThen(Effect.ignore(broker.tellStarted(told)), aMoment))
        yield* Effect.raceFirst(hear, tell)
      }).pipe(Effect.scoped)
    )

    it.effect("nothing told is nothing to do", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        yield* broker.tellStarted([])
        yield* broker.announceDead([])
      })
    )

    it.effect("a dead letter can be announced, and again", () =>
      Effect.gen(function* () {
        const broker = yield* Broker
        const letter = {
          taskId: dispatchOf({ queue: "any" }).taskId,
          version: 9,
          kind: "reminder.email",
          priority: "high",
          attempt: 5,
          deadAtMs: 1_700_000_000_000,
          reason: "exhausted",
          errorName: "SmtpError"
        } as const
        yield* broker.announceDead([letter])
        yield* broker.announceDead([letter, letter])
      })
    )
  })
}

export const dispatchOf = (fields: {
  readonly queue: string
  readonly priority?: Priority
  readonly fenceVersion?: number
  readonly dueAtMs?: number
  readonly dispatchedAtMs?: number
  readonly repeat?: number
}): Dispatch => {
  const number = (dispatchCount++).toString(16).padStart(12, "0")
  return {
    taskId: `018bcfe5-6800-7000-8000-${number}`,
    fence: { version: fields.fenceVersion ?? 2, eventId: `5f3c8f2a-0000-4000-8000-${number}` },
    kind: "reminder.email",
    queue: fields.queue,
    priority: fields.priority ?? "normal",
    dueAtMs: fields.dueAtMs ?? 1_700_000_000_000,
    // An estimate of the database's clock has fractions, and they must travel.
    dispatchedAtMs: fields.dispatchedAtMs ?? 1_700_000_000_000.5,
    repeat: fields.repeat ?? 0,
    isSuspect: dispatchCount % 2 === 0
  }
}

export const freshQueue = (): string => `contract-${run}-${queueCount++}`

/** Names differ between the runs on one server. */
const run = Date.now().toString(36)
let dispatchCount = 0
let queueCount = 0

export const roomFor = (count: number): Room => ({ dispatchesMax: count, nonCriticalMax: count })

const idOf = (dispatch: Dispatch): string => dispatch.taskId

const takeAtLeast = Effect.fnUntraced(function* (subscription: Subscription, count: number, atOnceMax = 1_000) {
  const received: Array<Dispatch> = []
  while (received.length < count) received.push(...(yield* subscription.take(roomFor(atOnceMax))))
  return received
})

/** A queue that has been used once: the first publish to one that is new may repeat a dispatch, and counts would show it. */
const usedQueue = Effect.fnUntraced(function* (broker: Broker["Service"]) {
  const queue = freshQueue()
  yield* broker.publish(priorities.map((priority) => dispatchOf({ queue, priority })))
  const taking = Effect.gen(function* () {
    const subscription = yield* broker.consume(queue)
    while (true) yield* subscription.acknowledge(yield* subscription.take(roomFor(100)))
  })
  yield* Effect.raceFirst(Effect.scoped(taking), eventuallyLag(broker, queue, noLag))
  return queue
})

const noLag: Record<Priority, number> = { critical: 0, high: 0, normal: 0, low: 0 }

/** The lag beyond a process is late: it must become this within some seconds. The tries end with the test's own limit. */
export const eventuallyLag = Effect.fnUntraced(function* (
  broker: Broker["Service"],
  queue: string,
  expected: Record<Priority, number>
) {
  for (let tries = 1; ; tries++) {
    const lag = yield* Effect.result(broker.lag(queue))
    const last = tries === (broker.reach === "process" ? 1 : triesMax)
    if (lag._tag === "Success" && priorities.every((priority) => lag.success[priority] === expected[priority])) return
    if (last) return assert.deepStrictEqual(lag._tag === "Success" ? lag.success : lag.failure, expected)
    yield* aMoment
  }
})

const triesMax = 400

/** Of real time: what is waited for happens in another process. */
export const aMoment = Effect.provideService(Effect.sleep(25), Clock.Clock, Clock.Clock.defaultValue())
