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

export const usage = `duetime demo: three services, thousands of tasks, and an audit of every promise

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

export class UsageInvalid extends Schema.TaggedError<UsageInvalid>()("UsageInvalid", { problem: Schema.String }) {
  override readonly [Runtime.errorExitCode] = 2
  override get message(): string {
    return `${this.problem}. See npm run demo -- --help`
  }
}

export const optionsOf = (args: ReadonlyArray<string>): Effect.Effect<Options, UsageInvalid> =>
  Effect.try({
    try: () => readOptions(args),
    catch: (error) =>
      error instanceof UsageInvalid
        ? error
        : new UsageInvalid({ problem: error instanceof Error ? error.message.replace(/\.$/, "") : String(error) })
  })

const readOptions = (args: ReadonlyArray<string>): Options => {
  const { burst, directory, fresh, help, json, seconds, seed, tasks } = flagsOf(args)
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

const flagsOf = (args: ReadonlyArray<string>) =>
  parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "20" },
      tasks: { type: "string", default: "5000" },
      burst: { type: "string", default: "2000" },
      seed: { type: "string", default: "1" },
      directory: { type: "string", default: ".duetime/demo" },
      fresh: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false }
    }
  }).values

const wholeNumber = (flag: string, text: string, min: number, max: number): number => {
  const value = Number(text)
  if (text.trim() !== "" && Number.isInteger(value) && value >= min && value <= max) return value
  throw new UsageInvalid({ problem: `--${flag} ${text}: give a whole number from ${min} to ${max}` })
}
