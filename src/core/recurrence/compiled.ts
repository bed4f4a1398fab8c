import { Result } from "effect"
import { compile, type Compiled, type Rule } from "./Rule.ts"
import type { RuleRejected } from "./RuleRejected.ts"

/** Rules kept compiled: a hundred thousand recurrences share few rules, and reading an expression costs more than asking it. */
const compiledMax = 1_000

const kept = new Map<string, Compiled>()

/** As `compile`, for rules that come again and again. */
export const compiledOf = (rule: Rule): Result.Result<Compiled, RuleRejected> => {
  const text = JSON.stringify(rule)
  const known = kept.get(text)
  if (known !== undefined) return Result.succeed(known)
  const compiled = compile(rule)
  if (Result.isSuccess(compiled)) {
    if (kept.size >= compiledMax) kept.clear()
    kept.set(text, compiled.success)
  }
  return compiled
}
