import { Config, Effect, Layer, Logger, References } from "effect"
import { configInvalid } from "../../configInvalid.ts"
import type { ConfigInvalid } from "../../DuetimeError.ts"

/** Lines on stderr: `logfmt` for people and most collectors, `json` for those that want it. */
const logVariables = Config.all({
  format: Config.Literals(["logfmt", "json"], "DUETIME_LOG_FORMAT").pipe(Config.withDefault("logfmt" as const)),
  level: Config.LogLevel("DUETIME_LOG_LEVEL").pipe(Config.withDefault("Info" as const))
})

export const logging: Layer.Layer<never, ConfigInvalid> = Layer.unwrap(
  Effect.map(logVariables, ({ format, level }) =>
    Layer.merge(
      Logger.layer([Logger.withConsoleError(format === "json" ? Logger.formatJson : Logger.formatLogFmt)]),
      Layer.succeed(References.MinimumLogLevel, level)
    )
  ).pipe(Effect.catchTag("ConfigError", configInvalid))
)

/** Any of them asks for an exporter. */
const endpoints = ["", "_TRACES", "_METRICS", "_LOGS"].map((signal) =>
  Config.option(Config.String(`OTEL_EXPORTER_OTLP${signal}_ENDPOINT`))
)

/** Nothing without an endpoint, and then no tracer either. */
export const exporting = (role: string): Layer.Layer<never, ConfigInvalid> =>
  Layer.unwrap(
    Effect.gen(function* () {
      const isAskedFor = (yield* Config.all(endpoints)).some((endpoint) => endpoint._tag === "Some")
      if (!isAskedFor || (yield* isDisabled)) return Layer.empty
      return (yield* Effect.promise(() => import("./otlp.ts"))).layer(role)
    }).pipe(Effect.catchTag("ConfigError", configInvalid))
  )

const isDisabled = Config.Boolean("OTEL_SDK_DISABLED").pipe(Config.withDefault(false))
