import { Clock, Config, Effect, Option, Schema } from "effect"
import type { HealthAddress, HealthCheck, HealthReport } from "../../api/HealthServer.ts"
import { configInvalid } from "../../configInvalid.ts"
import type { Engine, Worker } from "../../index.ts"
import type { KafkaTopics } from "../../layers.ts"
import type { Session } from "../../store/Session.ts"
import type { TaskStore } from "../../store/TaskStore.ts"

/** What is running already; filled in as the process starts. */
export type Parts = {
  session?: Session["Service"]
  worker?: Worker["Service"]
  engine?: Engine["Service"]
  kafka?: KafkaTopics["Service"]
  store?: TaskStore["Service"]
  isStarted: boolean
  isDraining: boolean
}

/** The loopback: who asks from elsewhere, as Kubernetes does, says so. */
export const healthHostDefault = "127.0.0.1"

/** Flags before variables; none: no health port is asked for. */
export const healthAddress = Effect.fnUntraced(
  function* (flags: { readonly port: Option.Option<number>; readonly host: Option.Option<string> }) {
    const port = Option.isSome(flags.port) ? flags.port : yield* Config.option(portFromEnv)
    const host = Option.isSome(flags.host) ? flags.host.value : yield* hostFromEnv
    return Option.map(port, (port): HealthAddress => ({ host, port }))
  },
  Effect.catchTag("ConfigError", configInvalid)
)

const portFromEnv = Config.schema(
  Schema.FiniteFromString.check(Schema.isInt(), Schema.isBetween({ minimum: 0, maximum: 65_535 })),
  "DUETIME_HEALTH_PORT"
)
const hostFromEnv = Config.String("DUETIME_HEALTH_HOST").pipe(Config.withDefault(healthHostDefault))

/** Says how the process is whenever it is asked, by what it holds; nothing here waits for anybody. */
export const makeReport = (role: string, parts: Parts): Effect.Effect<() => HealthReport> =>
  Effect.map(Clock.Clock, (clock) => {
    const nowMs = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
    const startedAtMs = nowMs()
    return () => ({ role, uptimeMs: nowMs() - startedAtMs, ...reportOf(parts) })
  })

/**
 * A broker that is away makes nobody unready: tasks are pulled from the database meanwhile, and to stop sending work
 * here would only make it worse.
 */
export const reportOf = (parts: Parts): Omit<HealthReport, "role" | "uptimeMs"> => {
  const { kafka, session, worker } = parts
  const checks: ReadonlyArray<HealthCheck> = [
    check("started", parts.isStarted, "all parts run", "waits for the database, or for its topics"),
    ...(session === undefined
      ? []
      : [check("lease", session.isAlive(), "the session's lease lasts", "the lease has run out, or may have")]),
    ...(worker === undefined
      ? []
      : [
          check("announced", worker.status().isAnnounced, "engines know its kinds", "engines do not know its kinds yet")
        ]),
    check("draining", !parts.isDraining, "takes work", "stops: takes no more")
  ]
  const broker = kafka?.status() ?? null
  const isReady = checks.every(({ ok }) => ok)
  return {
    status: isReady ? (broker === null || broker.connected ? "ready" : "degraded") : "unready",
    sessionId: session?.id() ?? null,
    checks,
    broker,
    engine: parts.engine?.status() ?? null,
    worker: worker?.status() ?? null
  }
}

const check = (name: string, ok: boolean, good: string, bad: string): HealthCheck => ({
  name,
  ok,
  detail: ok ? good : bad
})
