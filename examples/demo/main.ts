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
import { Clock, Effect, Layer } from "effect"
import { AttemptObserver } from "../../src/worker/AttemptObserver.ts"
import { verdictOf } from "./check.ts"
import { readEvidence, readScheduled } from "./evidence.ts"
import { drained } from "./drain.ts"
import { readLedger } from "./ledger.ts"
import { load } from "./load.ts"
import { demoProgram, type Options } from "./options.ts"
import type { ChargeEntry } from "./paymentsApi.ts"
import { Progress, watchBacklog } from "./progress.ts"
import { announce, logTo, runDemo } from "./runDemo.ts"
import { openRunFolder } from "./runFolder.ts"
import { ground, services } from "./services.ts"
import { openShop, readReports } from "./shop.ts"
import type { EmailEntry } from "./smtpSink.ts"
import { summaryOf, textOf } from "./summary.ts"
import { show } from "./view.ts"

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
    Effect.provide(logTo(folder.log))
  )
  if (summary.ok) folder.finish(summary)
  return summary
}, Effect.scoped)

runDemo({ program: demoProgram, run: demo, textOf })
