import type { Effect } from "effect"
import * as RestartableKafka from "../../src/embedded/RestartableKafka.ts"

/**
 * A node that was killed is not let in again before the session of its former life has ended: 9 s by default, in which this
 * cluster of one would be down.
 */
const settings = { "broker.session.timeout.ms": 2_000, "broker.heartbeat.interval.ms": 500 }

export type Kafka = Effect.Success<ReturnType<typeof startKafka>>

export const startKafka = (dataDirectory: string, proxyPorts: ReadonlyArray<number>) =>
  RestartableKafka.make({ dataDirectory, settings, proxyPorts })
