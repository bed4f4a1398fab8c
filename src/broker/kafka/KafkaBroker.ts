/**
 * Kafka as the broker of a fleet. A topic per queue and priority, a consumer group per queue. Kafka stays shallow and holds
 * nothing that the store does not: all of it may be lost at any moment, and what it loses is published again.
 */
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import { Broker, type BrokerUnavailable } from "../Broker.ts"
import type { BrokerRefused } from "../BrokerError.ts"
import * as ControlTopics from "./ControlTopics.ts"
import * as KafkaClient from "./KafkaClient.ts"
import { failureFrom } from "./kafkaErrors.ts"
import type { KafkaSettings } from "./KafkaSettings.ts"
import { KafkaTopics } from "./KafkaTopics.ts"
import * as Publisher from "./Publisher.ts"
import * as QueueConsumer from "./QueueConsumer.ts"
import { Skipped } from "./Skipped.ts"
import * as TopicAdmin from "./TopicAdmin.ts"

/** Fails at once when the cluster refuses the credentials, and when it is unreachable and `mayBeAway` is off. */
export const layer = (settings: KafkaSettings): Layer.Layer<Broker | KafkaTopics, BrokerUnavailable | BrokerRefused> =>
  // The cluster lives in real time, also below a test clock.
  Layer.effectContext(Effect.provideService(make(settings), Clock.Clock, realClock))

const realClock = Clock.Clock.defaultValue()
const inRealTime = Effect.provideService(Clock.Clock, realClock)

const make = Effect.fnUntraced(function* (
  settings: KafkaSettings
): Effect.fn.Return<Context.Context<Broker | KafkaTopics>, BrokerUnavailable | BrokerRefused, Scope.Scope> {
  const { createTopics, prefix } = settings
  const clients = yield* KafkaClient.make(settings)
  const admin = yield* TopicAdmin.make(settings, clients)
  yield* reachable(admin.ping, settings.mayBeAway)

  const monotonicMs = () => Number(realClock.monotonicTimeNanosUnsafe()) / 1e6
  const skipped = new Skipped(monotonicMs)
  yield* Effect.forkScoped(skipped.report)
  const shared = {
    clients,
    admin,
    prefix,
    createTopics,
    monotonicMs,
    session: { ms: settings.sessionTimeoutMs },
    onSkipped: skipped.count
  }
  const publisher = yield* Publisher.make(shared)
  const control = yield* ControlTopics.make(shared)
  const consumers = new Set<QueueConsumer.QueueConsumer>()

  const consume = Effect.fnUntraced(function* (queue: string) {
    const consumer = yield* QueueConsumer.make(queue, {
      ...shared,
      prepare: (createTopics ? Effect.asVoid(admin.ensure({ queues: [queue] })) : admin.check([queue])).pipe(
        // Some partitions are better than none.
        Effect.catchTag("TopicTooNarrow", () => Effect.void),
        Effect.mapError(failureFrom)
      )
    })
    yield* Effect.acquireRelease(
      Effect.sync(() => consumers.add(consumer)),
      () => Effect.sync(() => consumers.delete(consumer))
    )
    return consumer.subscription
  })

  return Context.empty().pipe(
    Context.add(Broker, {
      reach: "fleet",
      publish: (batch) => inRealTime(publisher.publish(batch)),
      offerDue: () => false,
      consume: (queue) => inRealTime(consume(queue)),
      lag: (queue) =>
        inRealTime(Effect.map(admin.offsets(queue), (offsets) => publisher.unacknowledged.count(offsets))),
      tellStarted: (claims) => inRealTime(control.tellStarted(claims)),
      startedHints: inRealTime(control.startedHints),
      announceDead: (letters) => inRealTime(control.announceDead(letters))
    }),
    Context.add(KafkaTopics, {
      ensure: (options) => inRealTime(admin.ensure(options)),
      describe: (queues) => inRealTime(admin.describe(queues)),
      check: (queues) => inRealTime(admin.check(queues)),
      lagByTopic: (queue) => inRealTime(admin.lagByTopic(queue)),
      status: () => ({
        connected: admin.isUp() || publisher.isUp(),
        consumers: [...consumers].map((consumer) => consumer.status()),
        skipped: skipped.counts()
      })
    })
  )
})

/**
 * Asks once whether the cluster answers. One that is away for a moment must not keep a program from starting, since workers
 * pull and engines look up; one that refuses us must.
 */
const reachable = (ping: TopicAdmin.TopicAdmin["ping"], waits: boolean) =>
  Effect.catchTag(ping, "BrokerUnavailable", (error) =>
    waits
      ? Effect.logWarning(`Kafka does not answer: ${error.reason}. Going on without it until it does.`)
      : Effect.fail(error)
  )
