import { Data, Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import type { Answer, Answers, Ask, Question } from "./contestant.ts"

/** A contestant that could not do what it was asked. Its cell is reported as failed, and the run goes on. */
export class ContestantFailed extends Data.TaggedError("ContestantFailed")<{ readonly message: string }> {}

/** The process of a contestant, seen from the harness. */
export type Handle = {
  readonly processId: number
  /** Fails when there is no answer within the limit, and when the process ends. */
  readonly ask: <Q extends Ask>(question: Q, limitMs?: number) => Effect.Effect<Answers[Q["ask"]], ContestantFailed>
}

const answerMsMax = 60_000
/** To close its connections; after that the process is killed. Its database goes with the cell. */
const closeMsMax = 5_000
const exitMsMax = 3_000

/** Ended with the scope: asked to close, then left alone by its parent, then killed. */
export const start: Effect.Effect<Handle, never, Scope.Scope> = Effect.gen(function* () {
  const child = yield* Effect.acquireRelease(Effect.sync(spawn), end)
  const waiting = new Map<number, (answer: Answer) => void>()
  let lastId = 0
  child.on("message", (answer: Answer) => {
    waiting.get(answer.id)?.(answer)
    waiting.delete(answer.id)
  })
  child.once("exit", (code, signal) => {
    for (const [id, resume] of waiting) resume({ id, failure: `the process ended with ${code ?? signal}` })
    waiting.clear()
  })

  const ask = <Q extends Ask>(question: Q, limitMs = answerMsMax) =>
    Effect.callback<Answers[Q["ask"]], ContestantFailed>((resume) => {
      const id = ++lastId
      waiting.set(id, (answer) =>
        resume(
          "failure" in answer
            ? Effect.fail(new ContestantFailed({ message: `${question.ask}: ${answer.failure}` }))
            : // The process answers what it was asked.
              Effect.succeed(answer.value as Answers[Q["ask"]])
        )
      )
      if (!isRunning(child)) return waiting.get(id)?.({ id, failure: "the process has ended" })
      child.send({ id, question } satisfies Question)
    }).pipe(
      Effect.timeoutOrElse({
        duration: limitMs,
        orElse: () => Effect.fail(new ContestantFailed({ message: `${question.ask}: no answer within ${limitMs} ms` }))
      })
    )

  yield* Effect.addFinalizer(() =>
    isRunning(child)
      ? ask({ ask: "close" }, closeMsMax).pipe(Effect.ignore, Effect.interruptible, Effect.timeoutOption(closeMsMax))
      : Effect.void
  )
  return { processId: child.pid ?? 0, ask }
})

const spawn = (): ChildProcess => {
  const folder = process.env["DUETIME_BENCH_PROFILE"]
  return fork(new URL("./contestantProcess.ts", import.meta.url), {
    serialization: "advanced",
    // Standard output is the report's.
    stdio: ["ignore", 2, "inherit", "ipc"],
    execArgv: folder === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${folder}`]
  })
}

const isRunning = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null

const end = (child: ChildProcess) => {
  const gone = Effect.callback<void>((resume) => {
    if (!isRunning(child)) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })
  return Effect.gen(function* () {
    // It ends itself when the channel closes, and writes its profile if it makes one.
    if (child.connected) child.disconnect()
    yield* gone.pipe(Effect.interruptible, Effect.timeoutOption(exitMsMax))
    child.kill("SIGKILL")
    yield* gone
  })
}
