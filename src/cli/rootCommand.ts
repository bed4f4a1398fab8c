import * as Command from "effect/cli/Command"
import { Json, JsonLines } from "./Answer.ts"
import { audit } from "./commands/audit.ts"
import { backlog } from "./commands/backlog.ts"
import { cancel } from "./commands/cancel.ts"
import { dead } from "./commands/dead.ts"
import { dev } from "./commands/dev.ts"
import { doctor } from "./commands/doctor.ts"
import { drift } from "./commands/drift.ts"
import { engine } from "./commands/engine.ts"
import { importTasks } from "./commands/import.ts"
import { kinds } from "./commands/kinds.ts"
import { migrate } from "./commands/migrate.ts"
import { partitions } from "./commands/partitions.ts"
import { pause } from "./commands/pause.ts"
import { projections } from "./commands/projections.ts"
import { recur } from "./commands/recur.ts"
import { reprioritise } from "./commands/reprioritise.ts"
import { reschedule } from "./commands/reschedule.ts"
import { resume } from "./commands/resume.ts"
import { roles } from "./commands/roles.ts"
import { run } from "./commands/run.ts"
import { runNow } from "./commands/runNow.ts"
import { schedule } from "./commands/schedule.ts"
import { task } from "./commands/task.ts"
import { tasks } from "./commands/tasks.ts"
import { top } from "./commands/top.ts"
import { topics } from "./commands/topics.ts"
import { wait } from "./commands/wait.ts"
import { worker } from "./commands/worker.ts"

/** `duetime` and all that can follow it. */
export const rootCommand = Command.make("duetime").pipe(
  Command.withDescription(
    "Run duetime, and look at and steer the tasks in the database that DUETIME_DATABASE_URL names"
  ),
  Command.withExamples([
    { command: "duetime schedule send-reminder --in 3h", description: "Schedule a task" },
    { command: "duetime task 019ab1d6-9c00-7a1b-8c2d-0123456789ab", description: "See what became of it" }
  ]),
  Command.withSubcommands([
    dev,
    schedule,
    importTasks,
    task,
    wait,
    tasks,
    cancel,
    reschedule,
    reprioritise,
    runNow,
    recur,
    dead,
    backlog,
    drift,
    top,
    kinds,
    pause,
    resume,
    doctor,
    audit,
    projections,
    partitions,
    migrate,
    roles,
    topics,
    engine,
    worker,
    run
  ]),
  Command.withGlobalFlags([Json, JsonLines])
)
