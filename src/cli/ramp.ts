import type * as Prompt from "effect/cli/Prompt"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import * as Schema from "effect/Schema"
import type { DeadLettersError, RampEnd, RampProgress } from "../DeadLetters.ts"
import type { Answer } from "./Answer.ts"
import type { Client } from "./connection.ts"
import { filterOf, isSure, type Selection, type Sureness } from "./deadLetters.ts"
import { counted } from "./render/table.ts"

/** Groups of one call. */
const groupsMax = 1_000

/** A ramped redrive has stopped before the end of a group. */
export class RampStopped extends Schema.TaggedError<RampStopped>("duetime/RampStopped")("RampStopped", {
  groupsCount: Schema.Int
}) {
  override readonly [Runtime.errorExitCode] = 1
  override get message(): string {
    return `RampStopped: ${counted(this.groupsCount, "group")} stopped before the end; what was not redriven is a dead letter as before.`
  }
}

type Input = Selection & { readonly wait: Option.Option<number>; readonly after: Option.Option<string> }

/** Group by group, so that a cause that is not mended costs its own group a batch, and the others nothing. */
export const rampAll = Effect.fnUntraced(function* (
  { deadLetters }: Client,
  input: Input
): Effect.fn.Return<Answer<RampStopped>, DeadLettersError | Sureness, Prompt.Environment> {
  const { group, kind } = filterOf(input)
  const groups = (yield* deadLetters.groups({ kind, limit: groupsMax })).filter(
    (found) => group === undefined || found.group === group
  )
  const dead = groups.reduce((sum, { count }) => sum + count, 0)
  if (input.dryRun || dead === 0) {
    const document = { dryRun: input.dryRun, dead, groups: groups.map(({ count, group }) => ({ group, count })) }
    return {
      document,
      text: () =>
        `${counted(dead, "dead letter")}${dead > 0 ? ` in ${counted(groups.length, "group")} would be redriven` : ""}`
    }
  }
  if (!(yield* isSure("redrive", dead, input))) {
    return { document: { dryRun: false, dead, groups: [] }, text: () => "", notes: ["Nothing was redriven."] }
  }
  const ends: Array<RampEnd> = []
  let at: RampProgress | undefined
  for (const found of groups) {
    const onBatch = (progress: RampProgress) => {
      at = progress
      return Console.error(`${found.group}: ${progressOf(progress)}`)
    }
    const end = yield* deadLetters
      .ramp(found.group, {
        waitMsMax: Option.getOrUndefined(input.wait),
        after: Option.getOrUndefined(input.after),
        onBatch
      })
      .pipe(Effect.onInterrupt(() => Console.error(`Interrupted. ${wayOn(found.group, at?.after ?? null)}`)))
    ends.push(end)
  }
  const stopped = ends.filter((end) => end.stopped !== null)
  return {
    document: { dryRun: false, dead, groups: ends },
    text: () =>
      ends.map((end) => `${end.group}  ${progressOf(end)}${end.stopped === null ? "" : "; stopped"}`).join("\n"),
    notes: stopped.flatMap((end) => [`${end.group}: ${end.stopped?.message ?? ""}.`, wayOn(end.group, end.after)]),
    ...(stopped.length === 0 ? {} : { failure: new RampStopped({ groupsCount: stopped.length }) })
  }
})

const progressOf = ({ count, failed, other, redriven, skipped, succeeded }: RampProgress): string =>
  [
    `redriven ${redriven.toLocaleString("en-US")} of ${count.toLocaleString("en-US")}`,
    `succeeded ${succeeded}`,
    `failed ${failed}`,
    ...(other > 0 ? [`ended otherwise ${other}`] : []),
    ...(skipped > 0 ? [`skipped ${skipped}`] : [])
  ].join(", ")

const wayOn = (group: string, after: string | null): string =>
  `Mend the cause and repeat: duetime dead redrive --group ${group} --ramp${after === null ? "" : `; with --after ${after} it leaves out what it has tried`}`
