/**
 * The demo of a cluster: `npm run demo:cluster`. The services of the demo, each a worker process of its own, two engines,
 * PostgreSQL and Kafka. While they work a worker, an engine and Kafka are killed, and a service is stopped and started again;
 * at the end the same audit of every promise.
 */
import { Clock, Effect, Layer } from "effect"
import { layerDev } from "../../src/layers.ts"
import { verdictOf } from "../demo/check.ts"
import { drained } from "../demo/drain.ts"
import { readEvidence, readScheduled } from "../demo/evidence.ts"
import { readLedger } from "../demo/ledger.ts"
import { load } from "../demo/load.ts"
import type { Options, Program } from "../demo/options.ts"
import type { ChargeEntry } from "../demo/paymentsApi.ts"
import { Progress, watchBacklog } from "../demo/progress.ts"
import { announce, logTo, runDemo } from "../demo/runDemo.ts"
import { openRunFolder } from "../demo/runFolder.ts"
import { openShop, readReports } from "../demo/shop.ts"
import type { EmailEntry } from "../demo/smtpSink.ts"
import { summaryOf } from "../demo/summary.ts"
import { show } from "../demo/view.ts"
import { startCluster } from "./cluster.ts"
import { injectFaults } from "./faults.ts"
import type { Member } from "./Member.ts"
import { clusterSummaryOf, textOf } from "./summary.ts"
import { watch } from "./watch.ts"

const program: Program = {
  script: "demo:cluster",
  defaults: { seconds: "30", tasks: "2000", burst: "1000", seed: "1", directory: ".duetime/demoCluster" },
  usage: `duetime demo:cluster: engines and services as processes of their own, through Kafka, some of them killed

  npm run demo:cluster -- [flags]

  --seconds N     length of the steady phase of 100 tasks/s, 1 to 600 (30)
  --tasks N       lines of the task file, 0 to 20000 (2000)
  --burst N       tasks that are due in the same millisecond, 0 to 20000 (1000)
  --seed N        decides every task and every failure of the payments provider (1)
  --fresh         begin anew, also after a run that was killed
  --directory D   where the run lives: database, Kafka, ledgers, log (.duetime/demoCluster)
  --json          one JSON document on stdout, everything else on stderr
  --help          this

It needs Java and Maven for Kafka. Kill it whenever you like, and start it again: it goes on.`
}

/** The shop's and the store's connections of this process, and those of five others. */
const connectionsMax = 200

const demo = Effect.fnUntraced(function* (options: Options) {
  const folder = yield* openRunFolder(options)
  const { asked, isResumed, plan } = folder
  const everything = [...asked.file, ...asked.steady, ...asked.burst]
  const progress = new Progress(everything.length, "duetime demo:cluster")
  announce(folder)
  const beganAtMs = yield* Clock.currentTimeMillis

  const run = Effect.gen(function* () {
    progress.phase = "filling the shop"
    yield* openShop
    let members: ReadonlyArray<Member> = []
    yield* watchBacklog(progress)
    yield* watch(progress, () => members)
    const before = isResumed ? yield* readScheduled : { keys: new Set<string>() }
    progress.scheduledCount = before.keys.size
    const faults = yield* Effect.scoped(
      Effect.gen(function* () {
        progress.phase = "starting Kafka"
        const cluster = yield* startCluster(folder, (phase) => (progress.phase = phase))
        members = cluster.members
        const [, faults] = yield* Effect.all(
          [
            load(folder, progress, before.keys),
            injectFaults(cluster, plan, (what, happened) => progress.note(what, happened))
          ],
          { concurrency: 2 }
        )
        progress.phase = "draining"
        yield* drained(progress)
        yield* Effect.forEach(members, (member) => member.look, { discard: true })
        return faults
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
    const summary = summaryOf({
      plan,
      resumed: isResumed,
      elapsedMs: (yield* Clock.currentTimeMillis) - beganAtMs,
      burstKeys: new Set(asked.burst.map(({ key }) => key)),
      evidence,
      verdict: verdictOf(everything, world, evidence)
    })
    return clusterSummaryOf(summary, { faults, members, pulled: evidence.pulled })
  })

  yield* show(progress)
  const summary = yield* Effect.scoped(run).pipe(
    Effect.provide(
      layerDev({ dataDirectory: folder.database, postgresSettings: { max_connections: connectionsMax } }).pipe(
        Layer.provideMerge(logTo(folder.log))
      )
    )
  )
  if (summary.ok) folder.finish(summary)
  return summary
}, Effect.scoped)

runDemo({ program, run: demo, textOf })
