/**
 * The verdict: compares what was asked for (the task file and the plan) with what the outside world holds (the mail
 * server's and the payments provider's ledgers, the report table) and with the event table.
 */
import { SendEmail } from "../email.ts"
import { CollectPayment } from "../payments.ts"
import { BuildReport } from "../reports.ts"
import type { Evidence, TaskFacts } from "./evidence.ts"
import { count } from "./format.ts"
import type { ChargeEntry } from "./paymentsApi.ts"
import type { ReportRow } from "./shop.ts"
import type { EmailEntry } from "./smtpSink.ts"
import type { AskedTask } from "./taskFile.ts"

export type World = {
  readonly emails: ReadonlyArray<EmailEntry>
  readonly charges: ReadonlyArray<ChargeEntry>
  readonly reports: ReadonlyArray<ReportRow>
}

export type Check = {
  readonly name: string
  readonly ok: boolean
  /** The figures that were compared. */
  readonly detail: string
  /** The first few things that are wrong. */
  readonly problems: ReadonlyArray<string>
}

/** What one service was asked for and holds. */
export type Deliveries = {
  readonly asked: number
  readonly distinct: number
  /** Deliveries beyond the first of a task. */
  readonly repeated: number
}

export type Verdict = {
  readonly ok: boolean
  readonly checks: ReadonlyArray<Check>
  readonly deliveries: { readonly emails: Deliveries; readonly charges: Deliveries; readonly reports: Deliveries }
}

const problemsShownMax = 5

export const verdictOf = (asked: ReadonlyArray<AskedTask>, world: World, evidence: Evidence): Verdict => {
  const tasks = [...evidence.tasks.values()]
  const askedOf = (kind: string) => asked.filter((task) => task.kind === kind).map(({ payload }) => payload)
  const taskOf = (taskId: string) => evidence.tasks.get(taskId)
  const dead = tasks.filter(({ stage }) => stage === "dead")
  const notEnded = tasks.filter(({ stage }) => stage !== "succeeded" && stage !== "dead")

  const emailsOfTasks = Map.groupBy(world.emails, ({ messageId }) => messageId.replace(/@.*$/, ""))
  const callsOfTasks = Map.groupBy(world.charges, ({ key }) => key)
  const reportsOfTasks = Map.groupBy(world.reports, ({ taskId }) => taskId)
  const moneyMoves = world.charges.filter(({ repeated }) => !repeated)

  const checks = [
    check(
      "every task was scheduled once",
      `${count(asked.length)} asked for, ${count(tasks.length)} in the event table`,
      [
        ...differences(
          asked.map(({ key, kind, payload, priority }) => ({ kind, key, priority, payload })),
          tasks.map(({ key, kind, payload, priority }) => ({ kind, key: key ?? "", priority, payload }))
        )
      ]
    ),
    check("every task has ended well", `${count(notEnded.length)} not ended, ${count(dead.length)} dead letters`, [
      ...notEnded.map(({ key, stage }) => `${key} is ${stage}`),
      ...dead.map(({ attempts, key }) => `${key} is a dead letter after ${attempts} attempts`)
    ]),
    check(
      "every email went out, none that was not asked for",
      `${count(emailsOfTasks.size)} distinct of ${count(world.emails.length)} received`,
      differences(
        askedOf(SendEmail.kind).map(({ subject, to }) => ({ to, subject })),
        firsts(emailsOfTasks).map(({ subject, to }) => ({ to, subject }))
      )
    ),
    check(
      "every customer was charged once",
      `${count(moneyMoves.length)} charges in ${count(world.charges.length)} calls`,
      [
        ...differences(
          askedOf(CollectPayment.kind),
          moneyMoves.map(({ amountCents, customer, invoice }) => ({ invoice, customer, amountCents }))
        )
      ]
    ),
    check("every report was written exactly once", `${count(world.reports.length)} rows`, [
      ...differences(
        askedOf(BuildReport.kind),
        world.reports.map(({ merchantId, month }) => ({ merchantId, month }))
      ),
      ...world.reports.filter(({ right }) => !right).map(({ merchantId, month }) => `wrong: ${merchantId} ${month}`)
    ]),
    check(
      "every repeated delivery follows an attempt that failed or was cut off",
      `${count(repeats(emailsOfTasks))} emails, ${count(repeats(callsOfTasks))} payment calls`,
      [emailsOfTasks, callsOfTasks, reportsOfTasks].flatMap((deliveries) => unexplained(deliveries, taskOf))
    ),
    check("nothing started before it was due", `${count(evidence.attempts)} attempts`, evidence.earlyStarts),
    check(
      "the auditor finds the event table in order",
      `${count(evidence.audit.events)} events of ${count(evidence.audit.streams)} tasks`,
      evidence.audit.violations.map(({ invariant, message, taskId }) => `${invariant} ${taskId}: ${message}`)
    )
  ]
  return {
    ok: checks.every(({ ok }) => ok),
    checks,
    deliveries: {
      emails: deliveriesOf(askedOf(SendEmail.kind), emailsOfTasks),
      charges: deliveriesOf(askedOf(CollectPayment.kind), callsOfTasks),
      reports: deliveriesOf(askedOf(BuildReport.kind), reportsOfTasks)
    }
  }
}

const check = (name: string, detail: string, problems: ReadonlyArray<string>): Check => ({
  name,
  ok: problems.length === 0,
  detail: problems.length > problemsShownMax ? `${detail}; ${count(problems.length)} problems, the first are` : detail,
  problems: problems.slice(0, problemsShownMax)
})

/** What is missing and what is extra, each as often as it is. */
const differences = (asked: ReadonlyArray<object>, found: ReadonlyArray<object>): ReadonlyArray<string> => {
  const balance = new Map<string, number>()
  for (const one of asked) add(balance, one, 1)
  for (const one of found) add(balance, one, -1)
  return Array.from(balance).flatMap(([text, times]) =>
    times === 0 ? [] : [`${times > 0 ? "missing" : "extra"}: ${text}`]
  )
}

const add = (balance: Map<string, number>, one: object, times: number) => {
  const text = JSON.stringify(sorted(one))
  balance.set(text, (balance.get(text) ?? 0) + times)
}

const sorted = (value: unknown): unknown =>
  value === null || typeof value !== "object" || Array.isArray(value)
    ? value
    : Object.fromEntries(
        Object.entries(value)
          .toSorted(([a], [b]) => (a < b ? -1 : 1))
          .map(([name, field]) => [name, sorted(field)])
      )

/** Deliveries of a task that did not ask for them, or more than its attempts can have made. */
const unexplained = (
  deliveries: ReadonlyMap<string, ReadonlyArray<object>>,
  taskOf: (taskId: string) => TaskFacts | undefined
): ReadonlyArray<string> =>
  Array.from(deliveries).flatMap(([taskId, found]) => {
    const task = taskOf(taskId)
    if (task === undefined) return [`${found.length} deliveries of ${taskId}, which is no task`]
    return found.length > 1 && found.length - 1 > task.unsuccessful
      ? [`${found.length} deliveries of ${task.key} by ${task.attempts} attempts, ${task.unsuccessful} unsuccessful`]
      : []
  })

const firsts = <A>(deliveries: ReadonlyMap<string, ReadonlyArray<A>>): ReadonlyArray<A> =>
  Array.from(deliveries.values()).flatMap((found) => found.slice(0, 1))

const repeats = (deliveries: ReadonlyMap<string, ReadonlyArray<object>>): number =>
  Array.from(deliveries.values()).reduce((total, found) => total + found.length - 1, 0)

const deliveriesOf = (
  asked: ReadonlyArray<object>,
  deliveries: ReadonlyMap<string, ReadonlyArray<object>>
): Deliveries => ({ asked: asked.length, distinct: deliveries.size, repeated: repeats(deliveries) })
