import { Config, Effect } from "effect"
import type { ConfigError } from "effect/Config"
import { ConfigInvalid } from "./DuetimeError.ts"

/** A rejected variable: its name, its value, what is wrong with it, and where its limits stand. */
export const configInvalid = Effect.fnUntraced(function* (error: ConfigError): Effect.fn.Return<never, ConfigInvalid> {
  const [name] = /\b(DUETIME|OTEL)_\w+/.exec(error.message) ?? ["DUETIME_..."]
  const value = yield* Effect.orElseSucceed(Config.String(name), () => "")
  const [problem] = error.message.replace(/^SchemaError\(/, "").split("\n")
  return yield* new ConfigInvalid({
    name,
    problem: `is "${value.slice(0, valueLengthMax)}": ${problem ?? "not valid"}`,
    wayOut: "See docs/reference/config.md for its meaning, unit and limits"
  })
})

/** Characters of a rejected value that are shown. */
const valueLengthMax = 80
