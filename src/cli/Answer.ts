import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import { type Paint, paintFor } from "./render/paint.ts"

/**
 * What a command found, before it is written: the same facts as one JSON document for programs and as text for people.
 * Data goes to stdout and everything else to stderr, so that output can be piped and read at the same time.
 */
export type Answer<E = never> = {
  readonly document: unknown
  /** Of a listing: what `--jsonl` writes, one a line. Without, it writes the document on one line. */
  readonly rows?: ReadonlyArray<unknown>
  /** For stdout; nothing is written for an empty text. */
  readonly text: (paint: Paint) => string
  /** For stderr: what happened, what to do next. Left out with `--json`. */
  readonly notes?: ReadonlyArray<string>
  /** Ends the command with this error after the answer has been written. */
  readonly failure?: E
}

export const Json = GlobalFlag.Setting("json")({
  flag: Flag.Boolean("json").pipe(
    Flag.withDescription("One JSON document on stdout instead of text"),
    Flag.withDefault(false),
    Flag.withoutNegation
  )
})

export const JsonLines = GlobalFlag.Setting("jsonl")({
  flag: Flag.Boolean("jsonl").pipe(
    Flag.withDescription("JSON Lines on stdout: each row of a listing on a line of its own"),
    Flag.withDefault(false),
    Flag.withoutNegation
  )
})

/** Makes a command's handler from an effect that answers. */
export const answering =
  <Input, E, R, Failure>(handler: (input: Input) => Effect.Effect<Answer<Failure>, E, R>) =>
  (input: Input) =>
    Effect.flatMap(handler(input), write)

const write = Effect.fnUntraced(function* <E>(answer: Answer<E>) {
  const asJson = yield* Json
  const asLines = yield* JsonLines
  const { canColor } = yield* TerminalCapabilities
  const text = asLines
    ? (answer.rows ?? [answer.document]).map((row) => JSON.stringify(row)).join("\n")
    : asJson
      ? JSON.stringify(answer.document, null, 2)
      : answer.text(paintFor(canColor))
  if (text !== "") yield* Console.log(text)
  if (!asJson) for (const note of answer.notes ?? []) yield* Console.error(note)
  if (answer.failure !== undefined) return yield* Effect.fail(answer.failure)
})
