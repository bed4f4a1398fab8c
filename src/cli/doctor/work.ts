import type { SilentSession, WaitingKind } from "../../store/Vitals.ts"
import { counted } from "../render/table.ts"
import { span } from "../render/time.ts"
import { type Finding, shell, word } from "./Finding.ts"

/** Judgements about those who do the work, and about what waits for them. */

/** A supervisor ends a session a second after its lease; one that is over for a minute has met none. */
const silentMsMax = 60_000
/** Due for so long although somebody serves it. */
const overdueMsMax = 300_000
/** Dead letters of a kind within an hour. */
const deadLatelyMax = 100

export const sessions = (silent: ReadonlyArray<SilentSession>, worker: string): ReadonlyArray<Finding> => {
  const over = silent.filter(({ silentMs }) => silentMs > silentMsMax)
  const [longest] = over
  if (longest === undefined) return []
  const held = over.reduce((sum, { heldCount }) => sum + heldCount, 0)
  return [
    {
      check: "sessions",
      severity: "problem",
      sentence:
        over.length === 1
          ? `${longest.process} announced itself and has been silent for ${span(longest.silentMs)}, and no engine has ended its session: what it holds (${counted(held, "task")}) stands still.`
          : `${over.length} processes announced themselves and have been silent, ${longest.process} for ${span(longest.silentMs)}, and no engine has ended their sessions: what they hold (${counted(held, "task")}) stands still.`,
      evidence: { sessions: over },
      advice: "Any engine ends them within some seconds of its start, and others go on with what they held.",
      commands: [shell(worker)]
    }
  ]
}

export const unserved = (kinds: ReadonlyArray<WaitingKind>, worker: string): ReadonlyArray<Finding> =>
  kinds.flatMap((kind): ReadonlyArray<Finding> => {
    if (kind.dueCount === 0 || kind.liveSessions > 0 || kind.pausedBy !== null) return []
    return [
      {
        check: "unserved",
        severity: "problem",
        sentence: `${tasksOf(kind)} ${are(kind)} due for ${span(kind.oldestDueForMs ?? 0)}, and ${kind.queue === null ? "no worker has ever served" : "no live worker serves"} the kind.`,
        evidence: evidenceOf(kind),
        advice: `Start what handles ${kind.kind}${kind.queue === null ? "" : `, queue ${kind.queue}`}.`,
        commands: [shell(worker)]
      }
    ]
  })

export const overdue = (kinds: ReadonlyArray<WaitingKind>, worker: string): ReadonlyArray<Finding> =>
  kinds.flatMap((kind): ReadonlyArray<Finding> => {
    const forMs = kind.oldestDueForMs ?? 0
    if (kind.liveSessions === 0 || kind.pausedBy !== null) return []
    if (kind.unstartedCount > 0) {
      return [
        {
          check: "consumers",
          severity: "problem",
          sentence: `${counted(kind.unstartedCount, "task")} of kind ${kind.kind} ${kind.unstartedCount === 1 ? "was" : "were"} claimed and due more than a minute ago, and none of the ${kind.liveSessions} live workers has started ${kind.unstartedCount === 1 ? "it" : "them"}: they are full, or their consumers are silent.`,
          evidence: evidenceOf(kind),
          advice: "If /readyz of a worker says that its broker is degraded, restart that worker; otherwise add one.",
          commands: [shell(worker)]
        }
      ]
    }
    if (forMs < overdueMsMax) return []
    return [
      {
        check: "overdue",
        severity: "warning",
        sentence: `${tasksOf(kind)} ${are(kind)} due, the oldest for ${span(forMs)}, although ${counted(kind.liveSessions, "worker")} ${kind.liveSessions === 1 ? "serves" : "serve"} the kind: they do not keep up, or no engine runs, or the kind's caps hold it.`,
        evidence: evidenceOf(kind),
        advice:
          "Add a worker or slots (--concurrency), see that an engine runs, and look at the caps with duetime kinds.",
        commands: [shell(worker)]
      }
    ]
  })

export const paused = (kinds: ReadonlyArray<WaitingKind>): ReadonlyArray<Finding> =>
  kinds.flatMap((kind): ReadonlyArray<Finding> => {
    if (kind.pausedBy === null || kind.dueCount === 0) return []
    const target = kind.pausedBy === "kind" ? `--kind ${word(kind.kind)}` : `--queue ${word(kind.queue ?? "default")}`
    return [
      {
        check: "paused",
        severity: "warning",
        sentence: `${tasksOf(kind)} ${are(kind)} due for ${span(kind.oldestDueForMs ?? 0)} and ${kind.dueCount === 1 ? "waits" : "wait"}, since the ${kind.pausedBy} is paused.`,
        evidence: evidenceOf(kind),
        advice: "If it is paused on purpose, there is nothing to do.",
        commands: [shell(`duetime resume ${target}`)]
      }
    ]
  })

export const parked = (kinds: ReadonlyArray<WaitingKind>): ReadonlyArray<Finding> =>
  kinds.flatMap(({ kind, parkedForPersonCount }): ReadonlyArray<Finding> => {
    if (parkedForPersonCount === 0) return []
    return [
      {
        check: "parked",
        severity: "warning",
        sentence: `${counted(parkedForPersonCount, "task")} of kind ${kind} ${parkedForPersonCount === 1 ? "was" : "were"} interrupted in the middle of something that must not be repeated unasked, and only a person can decide what becomes of ${parkedForPersonCount === 1 ? "it" : "them"}.`,
        evidence: { kind, parkedForPersonCount },
        advice: "Look each of them up; then duetime run-now <id> lets it go on, and duetime cancel <id> ends it.",
        commands: [shell(`duetime tasks --stage parked --kind ${word(kind)}`)]
      }
    ]
  })

export const deadLetters = (kinds: ReadonlyArray<WaitingKind>): ReadonlyArray<Finding> =>
  kinds.flatMap(({ deadCount, deadLatelyCount, kind }): ReadonlyArray<Finding> => {
    if (deadLatelyCount < deadLatelyMax) return []
    return [
      {
        check: "dead-letters",
        severity: "problem",
        sentence: `${counted(deadLatelyCount, "task")} of kind ${kind} died within the last hour, ${deadCount.toLocaleString("en-US")} dead letters of it in all: something that they all need is broken.`,
        evidence: { kind, deadCount, deadLatelyCount, deadLatelyMax },
        advice: `See why with duetime dead list --kind ${kind}, and mend the cause; then the command gives them all their attempts again.`,
        commands: [shell(`duetime dead redrive --all --kind ${word(kind)} --yes`)]
      }
    ]
  })

const tasksOf = ({ dueCount, kind }: WaitingKind): string => `${counted(dueCount, "task")} of kind ${kind}`
const are = ({ dueCount }: WaitingKind): string => (dueCount === 1 ? "has been" : "have been")
const evidenceOf = ({
  dueCount,
  kind,
  liveSessions,
  oldestDueForMs,
  pausedBy,
  queue,
  unstartedCount
}: WaitingKind) => ({
  kind,
  queue,
  dueCount,
  oldestDueForMs,
  liveSessions,
  pausedBy,
  unstartedCount
})
