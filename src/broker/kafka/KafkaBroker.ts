/**
 * Kafka as the broker of a fleet. A topic per queue and priority, a consumer group per queue. Kafka stays shallow and holds
 * nothing that the store does not: all of it may be lost at any moment, and what it loses is published again.
 */
import { Clock, Context, Effect, Layer, type Scope } from "effect"
import type { Priority } from "../../core/Priority.ts"
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

/**
 * Built once the cluster answers; fails at once when it refuses the credentials, and when it is unreachable and must not
 * be waited for.
 */
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
  yield* reachable(admin.ping, settings.waitForBroker)

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
      consume: (queue) => inRealTime(consume(queue)),
      lag: (queue) =>
        inRealTime(admin.lagByTopic(queue)).pipe(
          Effect.map((topics) => {
            const lag: Record<Priority, number> = { critical: 0, high: 0, normal: 0, low: 0 }
            for (const { priority, ...topic } of topics) lag[priority] += topic.lag
            return lag
          })
        ),
      tellStarted: (claims) => inRealTime(control.tellStarted(claims)),
      startedHints: inRealTime(control.startedHints),
      announceDead: (letters) => inRealTime(control.announceDead(letters))
    }),
    Context.add(KafkaTopics, {
      ensure: (options) => inRealTime(admin.ensure(options)),
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

/** Waits for the cluster as for the database: says so once, and again when it answers. */
const reachable = Effect.fnUntraced(function* (ping: TopicAdmin.TopicAdmin["ping"], waits: boolean) {
  let delayMs = retryDelayMsMin
  while (true) {
    const error = yield* ping.pipe(
      Effect.as(undefined),
      Effect.catchTag("BrokerUnavailable", (error) => (waits ? Effect.succeed(error) : Effect.fail(error)))
    )
    if (error === undefined) break
    if (delayMs === retryDelayMsMin) yield* Effect.logWarning(`waiting for Kafka: ${error.reason}`)
    yield* Effect.sleep(delayMs)
    delayMs = Math.min(delayMs * 2, retryDelayMsMax)
  }
  if (delayMs > retryDelayMsMin) yield* Effect.logInfo("Kafka answers")
})

const retryDelayMsMin = 100
const retryDelayMsMax = 5_000
