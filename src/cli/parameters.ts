import * as Argument from "effect/cli/Argument"
import * as Flag from "effect/cli/Flag"
import * as Option from "effect/Option"
import { priorities } from "../core/Priority.ts"
import { millisecondsOf } from "./span.ts"

/** Arguments and flags that several commands share, so that a word means the same everywhere. */
export const id = Argument.String("id").pipe(Argument.withDescription("Id of the task"))

export const kind = Flag.String("kind").pipe(
  Flag.withDescription("Only tasks of this kind"),
  Flag.withMetavar("name"),
  Flag.optional
)

export const limit = Flag.Int("limit").pipe(
  Flag.withDescription("Tasks per page, 1 to 1,000; default 50"),
  Flag.withMetavar("count"),
  Flag.withDefault(50)
)

export const after = Flag.String("after").pipe(
  Flag.withDescription("Cursor of the page before"),
  Flag.withMetavar("cursor"),
  Flag.optional
)

export const priority = Flag.Literals("priority", priorities).pipe(
  Flag.withDescription(priorities.join(", ")),
  Flag.withMetavar("priority")
)

export const noSpan = (text: string): string =>
  `${JSON.stringify(text)} is no span; write 500ms, 90s, 5m, 3h, 2d or 1h30m`

export const dueIn = Flag.String("in").pipe(
  Flag.withDescription("Due after this span: 90s, 5m, 3h, 2d, 1h30m, or words like '3 hours'"),
  Flag.withMetavar("span"),
  Flag.filterMap(millisecondsOf, noSpan),
  Flag.optional
)

export const dueAt = Flag.String("at").pipe(
  Flag.withDescription("Due at this instant: 2027-01-31T09:00:00Z, or with an offset +01:00"),
  Flag.withMetavar("instant"),
  Flag.optional
)

/** The due time as the client takes it. */
export const whenOf = (flags: { readonly in: Option.Option<number>; readonly at: Option.Option<string> }) => ({
  in: Option.getOrUndefined(flags.in),
  at: Option.getOrUndefined(flags.at)
})

/** A whole number, and a wrong call if it lies outside. */
export const wholeNumber = (name: string, minimum: number, maximum: number) =>
  Flag.Int(name).pipe(
    Flag.filter(
      (value) => value >= minimum && value <= maximum,
      (value) => `${value} is not allowed; give a whole number from ${minimum} to ${maximum}`
    )
  )
