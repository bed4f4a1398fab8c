import { type Duration, Result } from "effect"
import { storablePayload } from "./clientInput.ts"
import type { KindPolicy } from "./core/KindPolicy.ts"
import { isPriority, priorities, type Priority } from "./core/Priority.ts"
import { namesOf } from "./core/unknownName.ts"
import type { FollowUp as StoredFollowUp, FollowUps } from "./core/TaskEvent.ts"
import type { OptionsRejected, PayloadRejected } from "./DuetimeError.ts"
import { durationMsOf, rejected, unknownOption } from "./optionValues.ts"

/** What is scheduled when a task ends: at once, or some time after it. Made by `kind.follow(payload, options)`. */
export type Following = {
  /** When it has succeeded, whoever records it: its handler's success, `attempt.commit`, or a reconciler's "done". */
  readonly onSuccess?: FollowUp | undefined
  /** When it has become a dead letter, whatever the reason. One that is redriven and dies again schedules it again. */
  readonly onDead?: FollowUp | undefined
}

export type FollowOptions = Following & {
  /** So long after the end, up to 366 days; default: at once. */
  readonly in?: Duration.Input | undefined
  /** Default: the kind's. */
  readonly priority?: Priority | undefined
}

const names = namesOf<FollowOptions>({ onSuccess: true, onDead: true, in: true, priority: true })

/** A task to be, of some kind. Its payload and options are checked when the task that it follows is scheduled. */
export class FollowUp {
  readonly policy: KindPolicy
  readonly options: FollowOptions
  readonly encodePayload: () => Result.Result<unknown, PayloadRejected>

  constructor(
    policy: KindPolicy,
    encodePayload: () => Result.Result<unknown, PayloadRejected>,
    options: FollowOptions = {}
  ) {
    this.policy = policy
    this.encodePayload = encodePayload
    this.options = options
  }
}

/** Follow-ups one after another. */
export const followUpDepthMax = 5
/** A year, as for an expiry. */
export const followInMsMax = 366 * 86_400_000

type Checked = Result.Result<FollowUps, PayloadRejected | OptionsRejected>

/**
 * What is stored of it.
 *
 * @param bytesMax of one payload's JSON, and of all payloads that follow one task together
 */
export const followUpsOf = (options: Following, bytesMax: number): Checked =>
  options.onSuccess === undefined && options.onDead === undefined
    ? nothing
    : read(options, "", 1, { bytesMax, bytesCount: 0 })

const nothing: Checked = Result.succeed({})

type Size = { readonly bytesMax: number; bytesCount: number }

const read = (options: Following, path: string, depth: number, size: Size): Checked =>
  Result.gen(function* () {
    const onSuccess = yield* readOne(options.onSuccess, `${path}onSuccess`, depth, size)
    const onDead = yield* readOne(options.onDead, `${path}onDead`, depth, size)
    return { ...(onSuccess === null ? {} : { onSuccess }), ...(onDead === null ? {} : { onDead }) }
  })

const readOne = (
  given: FollowUp | undefined,
  field: string,
  depth: number,
  size: Size
): Result.Result<StoredFollowUp | null, PayloadRejected | OptionsRejected> =>
  Result.gen(function* () {
    if (given === undefined) return null
    if (!(given instanceof FollowUp)) {
      return yield* Result.fail(rejected(field, given, "Give what `kind.follow(payload)` makes of a defined kind"))
    }
    if (depth > followUpDepthMax) {
      const wayOut = `Give at most ${followUpDepthMax} follow-ups one after another, and let the handler of the last one schedule the rest`
      return yield* Result.fail(rejected(field, given.policy.kind, wayOut))
    }
    const { options, policy } = given
    const unknown = unknownOption(options, names, field)
    if (unknown !== null) return yield* Result.fail(unknown)
    const priority = options.priority ?? policy.priority
    if (!isPriority(priority)) {
      return yield* Result.fail(rejected(`${field}.priority`, priority, `Give one of ${priorities.join(", ")}`))
    }
    const inMs = yield* durationMsOf(`${field}.in`, options.in ?? 0, { minMs: 0, maxMs: followInMsMax })
    const payload = yield* storablePayload(policy.kind, yield* given.encodePayload(), size.bytesMax)
    size.bytesCount += Buffer.byteLength(JSON.stringify(payload))
    if (size.bytesCount > size.bytesMax) {
      const wayOut = `Give payloads of at most ${size.bytesMax} bytes of JSON together to all that follows a task; store the data elsewhere`
      return yield* Result.fail(rejected(field, `${size.bytesCount} bytes of payloads`, wayOut))
    }
    const followUps = yield* read(options, `${field}.`, depth + 1, size)
    return { kind: policy.kind, priority, inMs, dueJitter: policy.dueJitter, payload, ...followUps }
  })
