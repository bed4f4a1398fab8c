import { Effect, Runtime, Schema } from "effect"
import { parseArgs } from "node:util"
import type { Plan } from "./taskFile.ts"

export type Options = {
  readonly plan: Plan
  readonly directory: string
  readonly fresh: boolean
  readonly json: boolean
  readonly help: boolean
}

/** One of the demos, as its flags differ. */
export type Program = {
  readonly usage: string
  /** What npm runs it by. */
  readonly script: string
  readonly defaults: Readonly<Record<"seconds" | "tasks" | "burst" | "seed" | "directory", string>>
}

const usage = `duetime demo: three services, thousands of tasks, and an audit of every promise

  npm run demo -- [flags]

  --seconds N     length of the steady phase of 100 tasks/s, 1 to 600 (20)
  --tasks N       lines of the task file, 0 to 20000 (5000)
  --burst N       tasks that are due in the same millisecond, 0 to 20000 (2000)
  --seed N        decides every task and every failure of the payments provider (1)
  --fresh         begin anew, also after a run that was killed
  --directory D   where the run lives: database, ledgers, log (.duetime/demo)
  --json          one JSON document on stdout, everything else on stderr
  --help          this

Kill it whenever you like, with -9 if you like, and start it again: it goes on, loses nothing and does nothing twice.`

export const demoProgram: Program = {
  usage,
  script: "demo",
  defaults: { seconds: "20", tasks: "5000", burst: "2000", seed: "1", directory: ".duetime/demo" }
}

export class UsageInvalid extends Schema.TaggedError<UsageInvalid>()("UsageInvalid", {
  problem: Schema.String,
  script: Schema.String
}) {
  override readonly [Runtime.errorExitCode] = 2
  override get message(): string {
    return `${this.problem}. See npm run ${this.script} -- --help`
  }
}

export const optionsOf = (args: ReadonlyArray<string>, program: Program): Effect.Effect<Options, UsageInvalid> =>
  Effect.try({
    try: () => readOptions(args, program),
    catch: (error) => {
      const problem = error instanceof Error ? error.message.replace(/\.$/, "") : String(error)
      return new UsageInvalid({ problem, script: program.script })
    }
  })

const readOptions = (args: ReadonlyArray<string>, { defaults }: Program): Options => {
  const { burst, directory, fresh, help, json, seconds, seed, tasks } = flagsOf(args, defaults)
  return {
    plan: {
      seed: wholeNumber("seed", seed, 0, 2 ** 31 - 1),
      fileTasks: wholeNumber("tasks", tasks, 0, 20_000),
      steadySeconds: wholeNumber("seconds", seconds, 1, 600),
      burstTasks: wholeNumber("burst", burst, 0, 20_000)
    },
    directory,
    fresh,
    json,
    help
  }
}

const flagsOf = (args: ReadonlyArray<string>, defaults: Program["defaults"]) =>
  parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: defaults.seconds },
      tasks: { type: "string", default: defaults.tasks },
      burst: { type: "string", default: defaults.burst },
      seed: { type: "string", default: defaults.seed },
      directory: { type: "string", default: defaults.directory },
      fresh: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  }).values

const wholeNumber = (flag: string, text: string, min: number, max: number): number => {
  const value = Number(text)
  if (text.trim() !== "" && Number.isInteger(value) && value >= min && value <= max) return value
  throw new Error(`--${flag} ${text}: give a whole number from ${min} to ${max}`)
}
