import * as Command from "effect/cli/Command"
import * as Effect from "effect/Effect"
import type { KindCaps } from "../../core/KindPolicy.ts"
import { answering } from "../Answer.ts"
import { withClient } from "../connection.ts"
import { table } from "../render/table.ts"
import { span } from "../render/time.ts"

/** `10 at once, 50/s`. */
const capsText = ({ concurrencyMax, startsPerSecondMax }: KindCaps): string =>
  [
    ...(concurrencyMax === null ? [] : [`${concurrencyMax.toLocaleString("en-US")} at once`]),
    ...(startsPerSecondMax === null ? [] : [`${startsPerSecondMax.toLocaleString("en-US")}/s`])
  ].join(", ")

export const kinds = Command.make(
  "kinds",
  {},
  answering(() =>
    withClient(({ store }) =>
      Effect.map(store.kinds, (kinds) => ({
        document: kinds,
        rows: kinds,
        text: (paint) =>
          kinds.length === 0
            ? ""
            : table(
                kinds,
                [
                  { title: "KIND", value: ({ policy }) => policy.kind },
                  { title: "QUEUE", value: ({ known, policy }) => (known ? policy.queue : "") },
                  { title: "PRIORITY", value: ({ known, policy }) => (known ? policy.priority : "") },
                  {
                    title: "ATTEMPTS",
                    value: ({ known, policy }) => (known ? String(policy.retry.attemptsMax) : ""),
                    align: "right"
                  },
                  {
                    title: "TIMEOUT",
                    value: ({ known, policy }) => (known ? span(policy.timeoutMs) : ""),
                    align: "right"
                  },
                  { title: "CAPS", value: ({ policy }) => (policy.caps === null ? "" : capsText(policy.caps)) },
                  {
                    title: "PAUSED",
                    value: ({ isPaused }) => (isPaused ? "paused" : ""),
                    paint: (text) => paint.bad(text)
                  },
                  {
                    title: "SERVED BY",
                    value: ({ known, liveSessions }) =>
                      liveSessions > 0 ? `${liveSessions} live` : known ? "nobody now" : "nobody ever: its tasks wait",
                    paint: (text, { liveSessions }) => (liveSessions > 0 ? paint.good(text) : paint.bad(text))
                  }
                ],
                paint
              ),
        notes:
          kinds.length === 0
            ? ["No kinds yet. A kind appears when a task of it is scheduled or a worker serves it."]
            : []
      }))
    )
  )
).pipe(
  Command.withDescription("List the kinds with their policies, which are paused, and how many live workers serve each"),
  Command.withExamples([{ command: "duetime kinds", description: "Is anybody serving what is scheduled?" }])
)
