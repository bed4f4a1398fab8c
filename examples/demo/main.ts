/**
 * The demo: `npm run demo`. Three services (real SMTP, HTTP and SQL), thousands of tasks, and at the end an audit of
 * every promise. Engine, worker and PostgreSQL are those of production; the mail server and the payments provider are
 * processes of their own, and the latter is a bad one.
 *
 *   asked for ──▶ DUETIME ──▶ email ────▶ smtpSink.ts     ──▶ emails.jsonl  ─┐
 *      │        in Postgres   payments ─▶ paymentsApi.ts  ──▶ charges.jsonl ─┼─▶ check.ts
 *      │                      reports ──▶ shop.report, in the same Postgres ─┤
 *      └─────────────────────────────────────────────────────────────────────┘
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Cause, Clock, Data, Effect, Exit, Layer, Logger, Runtime } from "effect"
import * as fs from "node:fs"
import { AttemptObserver } from "../../src/worker/AttemptObserver.ts"
import { verdictOf } from "./check.ts"
import { readEvidence, readScheduled } from "./evidence.ts"
import { drained } from "./drain.ts"
import { readLedger } from "./ledger.ts"
import { burstLoad, scheduleAll, steadyLoad } from "./load.ts"
import { type Options, optionsOf, usage } from "./options.ts"
import type { ChargeEntry } from "./paymentsApi.ts"
import { Progress, watchBacklog } from "./progress.ts"
import { openRunFolder, type RunFolder } from "./runFolder.ts"
import { ground, services } from "./services.ts"
import { openShop, readReports } from "./shop.ts"
import type { EmailEntry } from "./smtpSink.ts"
import { type Summary, summaryOf, textOf } from "./summary.ts"
import { show } from "./view.ts"

/** The summary has told already what is wrong; this gives the exit code 1. */
class PromiseBroken extends Data.TaggedError("PromiseBroken") {}

const demo = Effect.fnUntraced(function* (options: Options) {
  const folder = yield* openRunFolder(options)
  const { asked, isResumed, plan } = folder
  const everything = [...asked.file, ...asked.steady, ...asked.burst]
  const progress = new Progress(everything.length)
  announce(folder)
  const beganAtMs = yield* Clock.currentTimeMillis

  const run = Effect.gen(function* () {
    progress.phase = "filling the shop"
    yield* openShop
    yield* watchBacklog(progress)
    const before = isResumed ? yield* readScheduled : { keys: new Set<string>(), endedCount: 0 }
    progress.scheduledCount = before.keys.size
    progress.endedCount = before.endedCount
    yield* Effect.scoped(
      Effect.gen(function* () {
        progress.phase = "starting the services"
        yield* Layer.build(services(folder))
        yield* load(folder, progress, before.keys)
        progress.phase = "draining"
        yield* drained(progress)
      })
    )
    progress.phase = "auditing"
    const evidence = yield* readEvidence
    const world = {
      emails: readLedger<EmailEntry>(folder.emails),
      charges: readLedger<ChargeEntry>(folder.charges),
      reports: yield* readReports
    }
    progress.phase = "done"
    return summaryOf({
      plan,
      resumed: isResumed,
      elapsedMs: (yield* Clock.currentTimeMillis) - beganAtMs,
      burstKeys: new Set(asked.burst.map(({ key }) => key)),
      evidence,
      verdict: verdictOf(everything, world, evidence)
    })
  })

  yield* show(progress)
  const summary = yield* Effect.scoped(run).pipe(
    Effect.provide(ground(folder)),
    Effect.provideService(AttemptObserver, progress.observer),
    Effect.provide(Logger.layer([fileLogger(folder.log)]))
  )
  if (summary.ok) folder.finish(summary)
  return summary
}, Effect.scoped)

/** The three ways in. What a run before this one has scheduled of the steady stream and the burst is not asked again. */
const load = Effect.fnUntraced(function* ({ asked, plan }: RunFolder, progress: Progress, known: ReadonlySet<string>) {
  const isNew = ({ key, kind }: { readonly kind: string; readonly key: string }) => !known.has(`${kind} ${key}`)
  progress.phase = "scheduling"
  // All of the file again, also when a run before has scheduled some of it: their keys tell which are there.
  progress.scheduledCount -= asked.file.filter((task) => !isNew(task)).length
  yield* scheduleAll(asked.file, progress)
  progress.phase = "steady"
  const steady = asked.steady.filter(isNew)
  const burst = asked.burst.filter(isNew)
  const burstInMs = Math.max(2_000, Math.min(plan.steadySeconds, steady.length / 100) * 500)
  yield* Effect.all([steadyLoad(steady, progress), burstLoad(burst, burstInMs, progress)], { concurrency: 2 })
})

const announce = ({ isResumed, log, plan }: RunFolder): void => {
  const what = isResumed ? "goes on with the run that was stopped" : "begins"
  process.stderr.write(`The demo ${what} (seed ${plan.seed}). Warnings go to ${log}.\n`)
}

/** Warnings would tear the picture apart. */
const fileLogger = (file: string) => Logger.map(Logger.formatLogFmt, (line) => fs.appendFileSync(file, `${line}\n`))

const print = (summary: Summary, options: Options): void => {
  if (options.json) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`)
  const stream = options.json ? process.stderr : process.stdout
  stream.write(textOf(summary, stream))
}

const main = Effect.gen(function* () {
  const options = yield* optionsOf(process.argv.slice(2))
  if (options.help) {
    process.stdout.write(`${usage}\n`)
    return
  }
  const summary = yield* demo(options)
  print(summary, options)
  if (!summary.ok) return yield* new PromiseBroken()
})

const tell = (cause: Cause.Cause<unknown>): void => {
  const error = Cause.squash(cause)
  if (error instanceof PromiseBroken) return
  const text = Cause.hasInterruptsOnly(cause)
    ? "Stopped, with nothing left running. Start it again, and it goes on."
    : error instanceof Error
      ? error.message
      : String(error)
  process.stderr.write(`${text}\n`)
}

NodeRuntime.runMain(main, {
  disableErrorReporting: true,
  teardown: (exit, onExit) => {
    if (Exit.isFailure(exit)) tell(exit.cause)
    Runtime.defaultTeardown(exit, onExit)
  }
})
