/**
 * The windows of the protocol (`docs/explain/proof.md`) that a history was in: where a fault between two steps could lose or repeat
 * something.
 */
import { kindOf } from "../../src/testing/simulation/Broken.ts"
import { kinds } from "./handlers.ts"
import type { History } from "./History.ts"
import { clocksGoBackMs } from "../../src/testing/simulation/Kernel.ts"
import type { Outcome } from "./World.ts"

export const windows: ReadonlyArray<readonly [number: number, what: string]> = [
  [1, "the answer to a schedule lost"],
  [2, "a schedule in a transaction that is rolled back"],
  [3, "two engines claim"],
  [4, "a crash after a claim, before its start"],
  [5, "a dispatch taken by the broker and lost"],
  [6, "a dispatch or a start sent twice"],
  [7, "a dispatch late, behind others"],
  [8, "an acknowledgement lost"],
  [9, "a worker dies at a start"],
  [10, "a worker dies at a commit"],
  [11, "a worker dies after its effect outside, before the outcome"],
  [12, "an outcome after the lease has ended"],
  [13, "the answer to an outcome lost"],
  [14, "an outcome sent twice"],
  [15, "a dead letter while the broker is down"],
  [16, "a node whose clock is wrong"],
  [17, "a failover that loses commits"],
  [18, "a backup that lacks commits"],
  [19, "a cancel refused, or of a running task"],
  [20, "a decision about instants sent twice, cut off, or without an answer"],
  [21, "instants passed while nobody decided"],
  [22, "a time of day that comes twice"],
  [23, "rows held against events"],
  [24, "many expire at once"]
]

/** Expiries in one instant that make a storm here, where a history has some ten tasks. */
const stormCount = 4
/** So late that somebody was missing. */
const missedMs = 1_000
const hourMs = 3_600_000
const legs = ["request", "reply"] as const

export const windowsOf = (outcome: Outcome, { clocks, reach }: History): ReadonlySet<number> => {
  const { fired, ledger, lost, lostOutcomesCount, recurred, streams, told } = outcome
  const met = new Set<number>()
  const when = (number: number, isMet: boolean) => isMet && met.add(number)
  const has = (...names: ReadonlyArray<string>) => names.some((name) => fired.has(name))
  const claimers = new Set<number>()
  const repairedAt = new Map<number, number>()
  for (const { events } of streams) {
    for (const event of events) {
      if (event._tag === "TaskClaimed") claimers.add(event.sessionId)
      const isRepair = event._tag === "AttemptExpired" || event._tag === "ClaimReleased" || event._tag === "TaskParked"
      if (isRepair) repairedAt.set(event.atMs, (repairedAt.get(event.atMs) ?? 0) + 1)
      when(4, event._tag === "ClaimReleased" && event.reason === "session-lost")
    }
  }
  const ended = new Map(streams.map(({ events, taskId }) => [taskId, events]))
  const isUntold = ({ attempt, isDone, taskId }: Outcome["ledger"][number]) =>
    isDone &&
    ended
      .get(taskId)
      ?.some(
        (event) => (event._tag === "AttemptExpired" || event._tag === "TaskParked") && event.attempt === attempt
      ) === true
  when(1, has("Lose@schedule.reply"))
  when(
    2,
    ledger.some(({ commit }) => commit === "lost") ||
      (has("Lose@finishWith.request", "Refuse@finishWith", "CrashAtLeg@finishWith.request") &&
        streams.some((stream) => kindOf(stream) === kinds.pay.kind))
  )
  when(3, claimers.size > 1)
  when(5, has("Unreliable@publish.lost", "BrokerEmptied@broker"))
  when(6, has("Unreliable@publish.repeated", "Duplicate@start"))
  when(7, has("Unreliable@publish.late"))
  // A worker that dies when its start is committed has not acknowledged it.
  when(8, has("BrokerDown@acknowledge") || (reach === "fleet" && has("CrashAtLeg@start.reply")))
  when(9, has("CrashAtLeg@start.request", "CrashAtLeg@start.reply"))
  when(10, has("CrashAtLeg@finishWith.request", "CrashAtLeg@finishWith.reply"))
  when(11, ledger.some(isUntold))
  when(12, lostOutcomesCount > 0)
  when(13, has("Lose@finish.reply", "Lose@finishWith.reply"))
  when(14, has("Duplicate@finish", "Duplicate@finishWith"))
  when(15, has("BrokerDown@announceDead"))
  when(
    16,
    clocks.some(({ offsetMs, rate }) => offsetMs !== 0 || rate !== 1)
  )
  const hasLost = lost.some(({ events }) => events.size > 0)
  when(17, hasLost && has("Failover@instant"))
  when(18, hasLost && has("Restore@instant"))
  when(
    19,
    told.some(({ stage, wish }) => wish === "cancel" && stage !== "cancelled")
  )
  const lines = recurred.flatMap((one) => one.ledger)
  when(
    20,
    recurred.length > 0 &&
      has(
        "Duplicate@settle",
        ...legs.flatMap((leg) => [`Lose@settle.${leg}`, `CrashAtLeg@settle.${leg}`, `PauseAtLeg@settle.${leg}`]),
        "Refuse@settle",
        "Delay@settle.request"
      )
  )
  when(
    21,
    lines.some(
      ({ decidedAtMs, fate, nominalAtMs }) => fate !== "skipped-paused" && decidedAtMs > nominalAtMs + missedMs
    )
  )
  when(
    22,
    recurred.some(
      ({ ledger: own, revisions }) =>
        revisions.some(({ rule }) => rule._tag === "Cron" && rule.zone !== "UTC") &&
        own.some(({ nominalAtMs, untilMs }) => untilMs >= clocksGoBackMs && nominalAtMs <= clocksGoBackMs + hourMs)
    )
  )
  when(23, streams.length > 0)
  when(
    24,
    [...repairedAt.values()].some((count) => count >= stormCount)
  )
  return met
}
