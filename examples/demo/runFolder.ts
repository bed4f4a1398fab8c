/**
 * Where a run lives, so that it can be killed and go on:
 *
 *   plan.json      what it was asked for; of a run that goes on, the flags change nothing
 *   tasks.jsonl    the task file
 *   postgres/      the database                            kafka/, compileCache/   of demo:cluster
 *   emails.jsonl   what the mail server has taken      charges.jsonl  what the payments provider has done
 *   demo.log       warnings of engine and worker       finished.json  the result, once there is one
 */
import { Effect, Schema } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import * as DataDirectory from "../../src/embedded/DataDirectory.ts"
import * as KafkaDirectory from "../../src/embedded/KafkaDirectory.ts"
import * as Owner from "../../src/embedded/Owner.ts"
import { askedBy, type Asked, type Plan, readTaskFile, writeTaskFile } from "./taskFile.ts"
import type { Options } from "./options.ts"

export type RunFolder = {
  readonly plan: Plan
  readonly asked: Asked
  /** A run before this one was stopped before its end. */
  readonly isResumed: boolean
  readonly database: string
  readonly kafka: string
  readonly compileCache: string
  readonly emails: string
  readonly charges: string
  readonly log: string
  readonly finish: (result: object) => void
}

const serverStopTimeoutMs = 10_000

/** Takes the folder for this process, and begins anew in it unless there is a run to go on with. */
export const openRunFolder = Effect.fnUntraced(function* (options: Options) {
  const directory = path.resolve(options.directory)
  const inside = (name: string) => path.join(directory, name)
  yield* Owner.own(directory)
  const isResumed = !options.fresh && fs.existsSync(inside("plan.json")) && !fs.existsSync(inside("finished.json"))
  if (!isResumed) {
    yield* DataDirectory.stopLeftover(inside("postgres"), serverStopTimeoutMs)
    yield* KafkaDirectory.stopLeftover(inside("kafka"), serverStopTimeoutMs)
    for (const name of contents) fs.rmSync(inside(name), { recursive: true, force: true })
    writeTaskFile(inside("tasks.jsonl"), options.plan)
    fs.writeFileSync(inside("plan.json.unfinished"), JSON.stringify(options.plan), { flush: true })
    fs.renameSync(inside("plan.json.unfinished"), inside("plan.json"))
  }
  const plan = decodePlan(fs.readFileSync(inside("plan.json"), "utf8"))
  return {
    plan,
    asked: askedBy(plan, readTaskFile(inside("tasks.jsonl"))),
    isResumed,
    database: inside("postgres"),
    kafka: inside("kafka"),
    compileCache: inside("compileCache"),
    emails: inside("emails.jsonl"),
    charges: inside("charges.jsonl"),
    log: inside("demo.log"),
    finish: (result) => fs.writeFileSync(inside("finished.json"), JSON.stringify(result, null, 2))
  } satisfies RunFolder
})

/** Everything a run may leave, `plan.json` first: without it there is no run. Nothing else in the folder is touched. */
const contents = [
  "plan.json",
  "finished.json",
  "postgres",
  "kafka",
  "compileCache",
  "tasks.jsonl",
  "emails.jsonl",
  "charges.jsonl",
  "demo.log"
] as const

const decodePlan = Schema.decodeUnknownSync(
  Schema.fromJsonString(
    Schema.Struct({ seed: Schema.Int, fileTasks: Schema.Int, steadySeconds: Schema.Int, burstTasks: Schema.Int })
  )
)
