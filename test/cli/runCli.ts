import { ConfigProvider, Console, Effect } from "effect"
import { execFile } from "node:child_process"
import { formatWithOptions } from "node:util"
import { teardown } from "../../src/cli/failure.ts"
import { program } from "../../src/cli/program.ts"

export type Ended = { readonly status: number; readonly stdout: string; readonly stderr: string }
export type Environment = Readonly<Record<string, string>>

/** The real command line in a process of its own, with nothing in its environment but what a test gives it. */
export const runProcess = (
  args: ReadonlyArray<string>,
  env: Environment = {},
  {
    folder = ".",
    interruptWhen = Effect.never
  }: {
    readonly interruptWhen?: Effect.Effect<unknown>
    /** Of the sources. */
    readonly folder?: string
  } = {}
): Effect.Effect<Ended> =>
  Effect.callback((resume) => {
    const child = execFile(
      process.execPath,
      ["src/cli/main.ts", ...args],
      { cwd: folder, env: { PATH: process.env["PATH"] ?? "", ...env }, timeout: 25_000 },
      (error, stdout, stderr) => {
        const status = error === null ? 0 : typeof error.code === "number" ? error.code : -1
        resume(Effect.succeed({ status, stdout, stderr }))
      }
    )
    const interrupting = Effect.runFork(Effect.tap(interruptWhen, () => Effect.sync(() => child.kill("SIGINT"))))
    child.once("exit", () => interrupting.interruptUnsafe())
    return Effect.sync(() => child.kill())
  })

/** The same program inside this process, which starts a hundred times faster: all but `main.ts` is real, and the terminal can do nothing. */
export const runCli = Effect.fnUntraced(function* (args: ReadonlyArray<string>, env: Environment = {}) {
  const output = { stdout: "", stderr: "" }
  const write =
    (stream: keyof typeof output) =>
    (...values: ReadonlyArray<unknown>) => {
      output[stream] += `${formatWithOptions({ colors: false }, ...values)}\n`
    }
  const captured: Console.Console = { ...globalThis.console, log: write("stdout"), error: write("stderr") }
  const exit = yield* program(args).pipe(
    Effect.provideService(Console.Console, captured),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnv({ env: { TERM: "dumb", ...env } })),
    Effect.exit
  )
  let status = 0
  teardown(exit, (code) => {
    status = code
  })
  return { status, ...output } satisfies Ended
})

/** Ids, instants and spans of this run as placeholders, so that the rest can be compared as it is. */
export const normalised = (text: string): string =>
  text
    .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}/g, "<id>")
    .replaceAll(/\d{4}-\d{2}-\d{2}[ T][\d:.]+(Z| UTC)/g, "<instant>")
    .replaceAll(/\d+(\.\d)? (ms|s|min|h|d)\b( \d+ (s|min|h)\b)?/g, "<span>")
    .replaceAll(/session \d+/g, "session <n>")
    .replaceAll(/ {2,}/g, "  ")
