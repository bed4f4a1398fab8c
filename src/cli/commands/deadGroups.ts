import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { DeadGroupView } from "../../DeadLetters.ts"
import { answering } from "../Answer.ts"
import { withClient } from "../connection.ts"
import { kind } from "../parameters.ts"
import { table } from "../render/table.ts"
import { oneLine } from "../render/text.ts"
import { instant } from "../render/time.ts"

/** Characters of a cause. */
const causeLengthMax = 100

const limit = Flag.Int("limit").pipe(
  Flag.withDescription("Groups, the largest first, 1 to 1,000; default 50"),
  Flag.withMetavar("count"),
  Flag.withDefault(50)
)

export const deadGroups = Command.make(
  "groups",
  { kind, limit },
  answering(({ kind, limit }) =>
    withClient(({ deadLetters }) =>
      Effect.map(deadLetters.groups({ kind: Option.getOrUndefined(kind), limit }), (groups) => ({
        document: { groups },
        text: (paint) =>
          groups.length === 0
            ? ""
            : table<DeadGroupView>(
                groups,
                [
                  { title: "GROUP", value: ({ group }) => group },
                  { title: "COUNT", value: ({ count }) => count.toLocaleString("en-US"), align: "right" },
                  { title: "KIND", value: ({ kind }) => kind },
                  { title: "FIRST SEEN", value: ({ firstSeenAt }) => instant(firstSeenAt) },
                  { title: "LAST SEEN", value: ({ lastSeenAt }) => instant(lastSeenAt) },
                  { title: "SAMPLE", value: ({ sample }) => sample.id },
                  { title: "CAUSE", value: ({ cause }) => oneLine(cause, causeLengthMax), paint: paint.bad }
                ],
                paint
              ),
        notes:
          groups.length === 0
            ? ["No dead letters."]
            : groups.length === limit
              ? [`The ${limit} largest groups; more with --limit.`]
              : []
      }))
    )
  )
).pipe(
  Command.withDescription("Group dead letters by kind and cause: how many, since when, and one of each"),
  Command.withExamples([{ command: "duetime dead groups --kind charge-card", description: "Of one kind" }])
)
