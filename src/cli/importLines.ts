import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import { createReadStream } from "node:fs"
import { createInterface } from "node:readline"
import { Duetime } from "../Duetime.ts"
import { type UntypedTask } from "../Scheduling.ts"
import { layerMemory } from "../layers.ts"

/** Reads a file of tasks, one JSON object a line, and finds the first that cannot be scheduled before any of its batch is. */

/** Characters of a line: a payload at its limit, each of its bytes escaped, is shorter. */
const lineLengthMax = 2 * 1024 * 1024
export const batchLines = 1_000

export type Line = { readonly number: number; readonly text: string }
export type Entry = { readonly line: number; readonly task: UntypedTask }
export type Batch = {
  readonly entries: ReadonlyArray<Entry>
  readonly fault: { readonly line: number; readonly problem: string } | null
}

const fields = ["kind", "payload", "in", "at", "key", "priority", "expiresIn", "expiresAt", "orderingKey"] as const

/** Numbered from 1; blank lines are left out. `-` is what comes in on stdin. */
export const linesOf = (file: string): Stream.Stream<Line> =>
  Stream.suspend(() => {
    const input = file === "-" ? process.stdin : createReadStream(file)
    let number = 0
    return Stream.fromAsyncIterable(createInterface({ input, crlfDelay: Infinity }), (cause) => cause).pipe(
      Stream.map((text) => ({ number: ++number, text })),
      Stream.filter(({ text }) => text.trim() !== ""),
      Stream.orDie
    )
  })

export const batchOf = (lines: ReadonlyArray<Line>): Effect.Effect<Batch> =>
  Effect.gen(function* () {
    const duetime = yield* Duetime
    const entries: Array<Entry> = []
    for (const { number, text } of lines) {
      const task = taskOf(text)
      if (Result.isFailure(task)) return { entries, fault: { line: number, problem: task.failure } }
      const rehearsed = yield* Effect.result(duetime.scheduleUntyped([task.success]))
      if (Result.isFailure(rehearsed)) return { entries, fault: { line: number, problem: rehearsed.failure.message } }
      entries.push({ line: number, task: task.success })
    }
    return { entries, fault: null }
    // Scheduled in memory first, by the same checks that the database's client makes, and forgotten.
  }).pipe(Effect.provide(Layer.fresh(layerMemory)))

const taskOf = (text: string): Result.Result<UntypedTask, string> => {
  if (text.length > lineLengthMax) {
    return Result.fail(`it has ${text.length} characters, over the limit of ${lineLengthMax}.`)
  }
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    return Result.fail(`it is not JSON: ${error instanceof Error ? error.message : String(error)}.`)
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) {
    return Result.fail("it is no JSON object.")
  }
  const unknown = Object.keys(parsed).find((name) => !fields.some((field) => field === name))
  if (unknown !== undefined) {
    return Result.fail(`the field ${JSON.stringify(unknown)} is not known. The fields are ${fields.join(", ")}.`)
  }
  // The client checks every value of it, whatever it is.
  const options: object = parsed
  return Result.succeed({ kind: "", payload: {}, ...options })
}
