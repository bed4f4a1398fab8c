/**
 * What no history may break, whatever its kinds and handlers: what duetime promises of every task. The events themselves are judged
 * by the auditor of the core, the same as `duetime audit`.
 */
import { audit } from "../../core/audit.ts"
import type { AuditOptions } from "../../core/audit/AuditedStream.ts"
import { fold } from "../../core/evolve.ts"
import type { StoredStream } from "../../store/TaskStore.ts"
import { type Broken, streamsById } from "./Broken.ts"

type Streams = { readonly streams: ReadonlyArray<StoredStream> }

/** A handler was called. */
export type HandlerCall = {
  readonly taskId: string
  readonly attempt: number
  /** Of the start that gave the right to call. */
  readonly fence: number
  readonly node: string
  /** The database holds the lease of the node to be over, or has given it another session. */
  readonly isLeaseOver: boolean
}

type Calls = { readonly ledger: ReadonlyArray<HandlerCall> }

export function* auditorFindsNothing({ streams }: Streams, options: AuditOptions): Iterable<Broken> {
  for (const { invariant, message, taskId, version } of audit(streams, options)) {
    yield { id: invariant, taskId, message: `version ${version ?? "-"}: ${message}` }
  }
}

export function* callsAreWonStarts({ ledger, streams }: Calls & Streams): Iterable<Broken> {
  const byId = streamsById(streams)
  const seen = new Set<string>()
  for (const { attempt, fence, isLeaseOver, node, taskId } of ledger) {
    if (isLeaseOver) yield { id: "S5", taskId, message: `${node} calls attempt ${attempt} after its lease has ended` }
    const start = byId.get(taskId)?.events.find(({ version }) => version === fence)
    const isWon = start?._tag === "AttemptStarted" && start.attempt === attempt
    if (!isWon)
      yield { id: "S6", taskId, message: `${node} calls attempt ${attempt}, which no start gives the right to` }
    const name = `${taskId} ${attempt}`
    if (seen.has(name)) yield { id: "S6", taskId, message: `attempt ${attempt} is called twice` }
    seen.add(name)
  }
}

export function* fencesGrow({ ledger }: Calls): Iterable<Broken> {
  const greatest = new Map<string, number>()
  for (const { fence, taskId } of ledger) {
    if (fence < (greatest.get(taskId) ?? 0))
      yield { id: "S9", taskId, message: `fence ${fence} comes after a greater one` }
    greatest.set(taskId, Math.max(fence, greatest.get(taskId) ?? 0))
  }
}

export function* acknowledgedIsPresent({
  acknowledged,
  streams
}: { readonly acknowledged: ReadonlyArray<{ readonly id: string }> } & Streams): Iterable<Broken> {
  const byId = streamsById(streams)
  for (const { id } of acknowledged)
    if (!byId.has(id)) yield { id: "S17", taskId: id, message: "is acknowledged and gone" }
}

export function* nothingFalls({ fallen }: { readonly fallen: ReadonlyArray<string> }): Iterable<Broken> {
  for (const message of fallen) yield { id: "S21", taskId: null, message }
}

export function* deathsAreAnnounced({
  announced,
  streams
}: { readonly announced: ReadonlyArray<string> } & Streams): Iterable<Broken> {
  const told = new Set(announced)
  for (const { events, taskId } of streams) {
    if (fold(events)?.stage === "dead" && !told.has(taskId)) {
      yield { id: "L1", taskId, message: "is dead and was never announced" }
    }
  }
}

/** As the simulated world says them. */
export const sentences = {
  auditor: "The auditor finds nothing in any stream, nor between an end and what follows it",
  calls: "A handler is called once for each start that was won, and never without",
  fences: "The outside never sees a fence after a greater one",
  acknowledged: "What was acknowledged is there",
  falls: "No program ends unless it is killed",
  ends: "After healing every task ends",
  announced: "Every dead letter is announced"
} as const
