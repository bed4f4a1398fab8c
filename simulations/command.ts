/** What the commands of the simulations have in common: flags, progress, the folder of a run, one document, exit codes. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Clock, Data, Effect, Exit, Runtime } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** The report has told already what is wrong; this gives the exit code 1. */
export class PromiseBroken extends Data.TaggedError("PromiseBroken") {}

export class UsageInvalid extends Data.TaggedError("UsageInvalid")<{ readonly message: string }> {
  override readonly [Runtime.errorExitCode] = 2
}

/** @param script as npm knows it */
export const usageInvalid =
  (script: string) =>
  (error: unknown): UsageInvalid => {
    const problem = error instanceof Error ? error.message : String(error)
    return new UsageInvalid({ message: `${problem} See npm run ${script} -- --help` })
  }

export const numberOf = (flag: string, text: string, min: number, max: number): number => {
  const value = Number(text)
  if (text.trim() !== "" && Number.isInteger(value) && value >= min && value <= max) return value
  throw new Error(`--${flag} ${text}: give a whole number from ${min} to ${max}.`)
}

export type Tell = (what: string) => void

/** Progress on stderr, with the seconds since this was made. */
export const makeTell = (name: string): Effect.Effect<Tell> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const beganAtMs = clock.currentTimeMillisUnsafe()
    return (what) => {
      const seconds = ((clock.currentTimeMillisUnsafe() - beganAtMs) / 1_000).toFixed(1)
      process.stderr.write(`${name} ${seconds.padStart(6)} s  ${what}\n`)
    }
  })

/** A pipe takes 64 KiB at once; an exit before it has taken the rest would cut the document. */
export const documentTold = (document: object): Effect.Effect<void> =>
  Effect.callback<void>((resume) => {
    process.stdout.write(`${JSON.stringify(document, null, 2)}\n`, () => resume(Effect.void))
  })

/** Runs in a folder that is removed afterwards, unless it was asked for or something is wrong; prints the report. */
export const judged = Effect.fnUntraced(function* <R extends { readonly ok: boolean }, E>(options: {
  readonly name: string
  readonly seed: number
  readonly directory?: string | undefined
  readonly json: boolean
  readonly run: (directory: string, tell: Tell) => Effect.Effect<R, E>
  readonly textOf: (report: R) => string
}) {
  const { json, name, run, seed, textOf } = options
  const directory = options.directory ?? fs.mkdtempSync(path.join(os.tmpdir(), `duetime-${name}-`))
  fs.mkdirSync(directory, { recursive: true })
  // The account of PostgreSQL's server has to pass.
  fs.chmodSync(directory, 0o755)
  const tell = yield* makeTell(name)
  tell(`seed ${seed}, ${directory}`)
  const tidyUp = Effect.sync(() => {
    if (options.directory === undefined) fs.rmSync(directory, { recursive: true, force: true })
  })
  const report = yield* run(path.resolve(directory), tell).pipe(Effect.onInterrupt(() => tidyUp))
  ;(json ? process.stderr : process.stdout).write(textOf(report))
  if (json) yield* documentTold(report)
  if (!report.ok) {
    process.stderr.write(`The logs and databases are in ${directory}\n`)
    return yield* new PromiseBroken()
  }
  yield* tidyUp
})

export const runMain = <E>(program: Effect.Effect<void, E>): void =>
  NodeRuntime.runMain(program, {
    disableErrorReporting: true,
    teardown: (exit, onExit) => {
      if (Exit.isFailure(exit)) {
        const error = Cause.squash(exit.cause)
        if (Cause.hasInterruptsOnly(exit.cause)) process.stderr.write("Stopped, with nothing left running.\n")
        else if (!(error instanceof PromiseBroken))
          process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
      }
      Runtime.defaultTeardown(exit, onExit)
    }
  })
