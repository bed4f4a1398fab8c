/** What kafkajs throws, in our words. It wraps errors in others; what happened stands in the innermost. */
import { Data, Effect, Schedule } from "effect"
import { BrokerUnavailable } from "../Broker.ts"
import { BrokerRefused, type TopicMissing } from "../BrokerError.ts"

/** Within the adapter only; the port's errors are made of it. */
export class KafkaFailure extends Data.TaggedError("KafkaFailure")<{
  /** Kafka's own name of an error, as UNKNOWN_TOPIC_OR_PARTITION, the class of kafkajs, or a tag of ours. */
  readonly kind: string
  readonly reason: string
  /** Stays wrong however long it is waited for. */
  readonly isRefusal: boolean
  readonly cause?: unknown
}> {}

export const failureOf = (cause: unknown): KafkaFailure => {
  const kind = kindOf(cause)
  return new KafkaFailure({ kind, reason: reasonOf(cause), isRefusal: isRefusal(kind, codeOf(cause)), cause })
}

/** What we see ourselves, and kafkajs does not. */
export const failure = (kind: string, reason: string): KafkaFailure =>
  new KafkaFailure({ kind, reason, isRefusal: false })

export const failureFrom = (error: BrokerUnavailable | BrokerRefused | TopicMissing): KafkaFailure =>
  new KafkaFailure({
    kind: error._tag,
    reason: error._tag === "TopicMissing" ? error.message : error.reason,
    isRefusal: error._tag === "BrokerRefused",
    cause: error
  })

/** Deleted, never made, or not yet known to the broker that was asked. */
export const isTopicUnknown = ({ kind }: KafkaFailure): boolean =>
  kind === "TopicMissing" || kind === "UNKNOWN_TOPIC_OR_PARTITION" || kind === "KafkaJSTopicMetadataNotLoaded"

/** A topic just made, or a broker just lost: the partitions' leaders take their seats within tens of milliseconds. */
const isSettling = ({ kind }: KafkaFailure): boolean =>
  /^(NOT_LEADER|LEADER_NOT|REPLICA_NOT|NOT_COORDINATOR)/.test(kind)

export const untilSettled = <A>(effect: Effect.Effect<A, KafkaFailure>): Effect.Effect<A, KafkaFailure> =>
  Effect.retry(effect, { while: isSettling, schedule: settling })

/** One broker lists a topic just made, or just deleted, of which another one, asked next, knows otherwise: tens of milliseconds as well. */
export const untilKnown = <A>(effect: Effect.Effect<A, KafkaFailure>): Effect.Effect<A, KafkaFailure> =>
  Effect.retry(effect, { while: (failure) => isTopicUnknown(failure) || isSettling(failure), schedule: settling })

const settling = Schedule.exponential("25 millis").pipe(Schedule.upTo({ times: 6 }))

export const unavailable = (operation: string, { cause, reason }: KafkaFailure): BrokerUnavailable =>
  new BrokerUnavailable({ operation, reason, ...(cause === undefined ? {} : { cause }) })

export const refusedOr = (operation: string, failure: KafkaFailure): BrokerRefused | BrokerUnavailable => {
  const { cause, isRefusal, reason } = failure
  return isRefusal ? new BrokerRefused({ operation, reason, cause }) : unavailable(operation, failure)
}

/** A request about several topics may fail for each in its own way. */
export const errorsOf = (error: unknown): ReadonlyArray<unknown> => {
  const several = error instanceof Error && "errors" in error && Array.isArray(error.errors) ? error.errors : []
  return several.length > 0 ? several : [error]
}

export const kindOf = (error: unknown): string => {
  const [root] = errorsOf(rootOf(error))
  if (!(root instanceof Error)) return "unknown"
  return "type" in root && typeof root.type === "string" ? root.type : root.name
}

const rootOf = (error: unknown): unknown => {
  let root = error
  for (let depth = 0; depth < causeDepthMax; depth++) {
    if (!(root instanceof Error) || !(root.cause instanceof Error) || root.cause === root) break
    root = root.cause
  }
  return root
}

const isRefusal = (kind: string, code: string): boolean =>
  /SASL_?AUTHENTICATION|SASL_MECHANISM|_AUTHORIZATION_FAILED$/i.test(kind) ||
  /CERT|SELF_SIGNED|UNABLE_TO_(VERIFY|GET_ISSUER)|^ERR_(TLS|SSL|OSSL)/.test(code)

/** Node's code of a socket's error. */
const codeOf = (error: unknown): string => {
  const root = rootOf(error)
  return root instanceof Error && "code" in root && typeof root.code === "string" ? root.code : ""
}

const reasonOf = (error: unknown): string => {
  const root = rootOf(error)
  const parts = errorsOf(root)
  if (parts.length > 1) return parts.slice(0, partsMax).map(reasonOf).join("; ").slice(0, reasonLengthMax)
  const [part] = parts
  const message = part instanceof Error ? part.message : String(part)
  const broker = part instanceof Error && "broker" in part && typeof part.broker === "string" ? part.broker : ""
  const [line = ""] = message.replace(/^Connection error: (connect )?/, "").split("\n")
  return (broker === "" || line.includes(broker) ? line : `${line} (${broker})`).slice(0, reasonLengthMax)
}

const causeDepthMax = 5
const partsMax = 3
const reasonLengthMax = 300
