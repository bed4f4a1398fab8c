import * as Command from "effect/cli/Command"
import { recurAudit } from "./recurAudit.ts"
import { recurDelete } from "./recurDelete.ts"
import { recurList } from "./recurList.ts"
import { recurPause } from "./recurPause.ts"
import { recurPreview } from "./recurPreview.ts"
import { recurResume } from "./recurResume.ts"
import { recurRunNow } from "./recurRunNow.ts"
import { recurShow } from "./recurShow.ts"

export const recur = Command.make("recur").pipe(
  Command.withDescription("Look at recurrences, steer them, and prove what became of their instants"),
  Command.withExamples([{ command: "duetime recur list", description: "What fires when" }]),
  Command.withSubcommands([
    recurList,
    recurShow,
    recurPreview,
    recurPause,
    recurResume,
    recurRunNow,
    recurDelete,
    recurAudit
  ])
)
