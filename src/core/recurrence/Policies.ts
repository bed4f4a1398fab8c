import { Result } from "effect"
import { rejected, type RuleRejected } from "./RuleRejected.ts"

/** What becomes of a recurrence's instants beside the plain case. Plain JSON, stored with the rule. */
export type Policies = {
  /** Which of the instants that were missed run when engines are back: none, the last one, all of them. */
  readonly misfire: "skip" | "last" | "all"
  /** An instant is missed when it is decided this much later than it was; until then it is just late, and runs. */
  readonly misfireGraceMs: number
  /** Under `all`: the latest so many run, the others are skipped. */
  readonly misfireCap: number
  /** Under `all`: ms between the due times of those that run. */
  readonly misfirePaceMs: number
  /** An instant that could only run later than this is skipped, whatever `misfire` says; null: it is never too late. */
  readonly maxLatenessMs: number | null
  /** While the task of an earlier instant has not ended: run beside it, skip, or ask it to end and run. */
  readonly overlap: "allow" | "skip" | "cancel"
}

export const defaultPolicies: Policies = {
  misfire: "last",
  misfireGraceMs: 10_000,
  misfireCap: 100,
  misfirePaceMs: 1_000,
  maxLatenessMs: null,
  overlap: "allow"
}

export const misfireGraceMsMax = 3_600_000
/** Tasks of one recurrence that an outage can bring back; also what one decision holds in memory. */
export const misfireCapMax = 1_000
export const misfirePaceMsMax = 3_600_000
/** Ten years, as the longest interval. */
export const maxLatenessMsMax = 3_660 * 86_400_000

export const checkPolicies = (policies: Policies): Result.Result<Policies, RuleRejected> =>
  Result.gen(function* () {
    yield* oneOf("misfire", policies.misfire, ["skip", "last", "all"])
    yield* oneOf("overlap", policies.overlap, ["allow", "skip", "cancel"])
    yield* whole("misfire.grace", policies.misfireGraceMs, 0, misfireGraceMsMax, "ms")
    yield* whole("misfire.cap", policies.misfireCap, 1, misfireCapMax, "instants")
    yield* whole("misfire.pace", policies.misfirePaceMs, 0, misfirePaceMsMax, "ms")
    if (policies.maxLatenessMs !== null) yield* whole("maxLateness", policies.maxLatenessMs, 0, maxLatenessMsMax, "ms")
    return policies
  })

const oneOf = (field: string, value: string, values: ReadonlyArray<string>): Result.Result<void, RuleRejected> =>
  values.includes(value)
    ? Result.void
    : Result.fail(rejected(field, value, "there is no such policy", `Give ${values.join(", ")}`))

const whole = (
  field: string,
  value: number,
  least: number,
  most: number,
  unit: string
): Result.Result<void, RuleRejected> =>
  Number.isInteger(value) && value >= least && value <= most
    ? Result.void
    : Result.fail(rejected(field, value, "it makes no sense here", `Give whole ${unit} from ${least} to ${most}`))
