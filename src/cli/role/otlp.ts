/**
 * Spans to a collector over OTLP, as the variables of OpenTelemetry say; metrics and logs too, where they ask for it. Loaded only
 * where an endpoint is given.
 */
import { Cause, Config, ConfigProvider, Effect, Layer, Option, Random, Schema, Tracer } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Otlp from "effect/observability/Otlp"
import * as OtlpSerialization from "effect/observability/OtlpSerialization"
import { configInvalid } from "../../configInvalid.ts"
import type { ConfigInvalid } from "../../DuetimeError.ts"

const samplers = [
  "always_on",
  "always_off",
  "parentbased_always_on",
  "parentbased_always_off",
  "parentbased_traceidratio"
] as const

const variables = Config.all({
  protocol: Config.Literals(["http/protobuf", "http/json"], "OTEL_EXPORTER_OTLP_PROTOCOL").pipe(
    Config.withDefault("http/protobuf" as const)
  ),
  sampler: Config.Literals(samplers, "OTEL_TRACES_SAMPLER").pipe(Config.withDefault("parentbased_always_on" as const)),
  ratio: Config.schema(
    Schema.FiniteFromString.check(Schema.isBetween({ minimum: 0, maximum: 1 })),
    "OTEL_TRACES_SAMPLER_ARG"
  ).pipe(Config.withDefault(1)),
  attributes: Config.option(Config.String("OTEL_RESOURCE_ATTRIBUTES"))
})

/** A collector gets metrics and logs when it is said to: there are /metrics and stderr. */
const defaultsOf = (role: string, attributes: Option.Option<string>) => ({
  OTEL_TRACES_EXPORTER: "otlp",
  ...(Option.exists(attributes, (text) => /(^|,)\s*service\.name=/.test(text))
    ? {}
    : { OTEL_SERVICE_NAME: `duetime-${role}` })
})

export const layer = (role: string): Layer.Layer<never, ConfigInvalid> =>
  Layer.unwrap(
    Effect.map(variables, ({ attributes, protocol, ratio, sampler }) =>
      Layer.effect(Tracer.Tracer, samplingTracer(sampler, ratio)).pipe(
        Layer.provideMerge(Otlp.layerFromConfig()),
        Layer.provide(protocol === "http/json" ? OtlpSerialization.layerJson : OtlpSerialization.layerProtobuf),
        Layer.provide(FetchHttpClient.layer),
        Layer.provide(ConfigProvider.layerAdd(ConfigProvider.fromUnknown(defaultsOf(role, attributes))))
      )
    )
  ).pipe(Layer.catchCause((cause) => Layer.effectDiscard(refused(cause))))

/** What of OpenTelemetry's variables Effect's own layers read and do not like, they die of. */
const refused = (cause: Cause.Cause<Config.ConfigError>): Effect.Effect<never, ConfigInvalid> => {
  const error = Cause.squash(cause)
  return error instanceof Config.ConfigError ? configInvalid(error) : Effect.die(error)
}

/**
 * Who has no caller decides whether it is sampled: attempts of recurrences, of what was scheduled by SQL or without a trace. Unlike
 * "always_off", "parentbased_always_off" leaves what a caller samples.
 */
const samplingTracer = Effect.fnUntraced(function* (sampler: (typeof samplers)[number], ratio: number) {
  const tracer = yield* Tracer.Tracer
  const random = yield* Random.Random
  if (tracer === Tracer.nativeTracer || sampler === "parentbased_always_on") return tracer
  const isSampled: Record<
    typeof sampler,
    (options: { readonly sampled: boolean; readonly isRoot: boolean }) => boolean
  > = {
    always_on: () => true,
    always_off: () => false,
    parentbased_always_off: ({ isRoot, sampled }) => sampled && !isRoot,
    parentbased_traceidratio: ({ isRoot, sampled }) => sampled && (!isRoot || random.nextDoubleUnsafe() < ratio)
  }
  return Tracer.make({
    ...tracer,
    span: (options) => {
      const isRoot = Option.isNone(options.parent)
      return tracer.span({ ...options, sampled: isSampled[sampler]({ sampled: options.sampled, isRoot }) })
    }
  })
})
