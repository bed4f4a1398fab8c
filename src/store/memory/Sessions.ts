import { defaultKindPolicy, type KindPolicy } from "../../core/KindPolicy.ts"
import type { KindRecord, PauseTarget } from "../TaskStore.ts"

/** The `session`, `kind` and `paused_queue` tables: who is alive, what each serves, the policy everybody decides by, what is paused. */
export class Sessions {
  readonly #sessions = new Map<number, SessionRow>()
  /** Sessions that their processes have closed in order. */
  readonly #left = new Set<number>()
  readonly #policies = new Map<string, KindPolicy>()
  readonly #pausedKinds = new Set<string>()
  readonly #pausedQueues = new Set<string>()
  /** Paused once at least: it is listed even if nothing of it was ever scheduled. */
  readonly #namedKinds = new Set<string>()
  #lastId = 0

  open(leaseUntilMs: number): number {
    this.#lastId++
    this.#sessions.set(this.#lastId, { leaseUntilMs, kinds: [] })
    return this.#lastId
  }

  /** False if the session has been ended; a lease that passed and that nobody has acted on yet goes on. */
  renew(sessionId: number, leaseUntilMs: number): boolean {
    const session = this.#sessions.get(sessionId)
    if (session === undefined) return false
    session.leaseUntilMs = leaseUntilMs
    return true
  }

  anyPassed(nowMs: number): boolean {
    return Array.from(this.#sessions.values()).some(({ leaseUntilMs }) => leaseUntilMs <= nowMs)
  }

  /** Ends the sessions whose lease has passed. */
  endPassed(nowMs: number): void {
    for (const [sessionId, { leaseUntilMs }] of this.#sessions) {
      if (leaseUntilMs <= nowMs) this.#sessions.delete(sessionId)
    }
  }

  /** Ends it at once, as if its lease had passed. */
  end(sessionId: number): void {
    this.#sessions.delete(sessionId)
  }

  /** Said by its process, which stops in order. */
  leave(sessionId: number): void {
    this.#sessions.delete(sessionId)
    this.#left.add(sessionId)
  }

  hasLeft(sessionId: number): boolean {
    return this.#left.has(sessionId)
  }

  isAlive(sessionId: number, nowMs: number): boolean {
    return (this.#sessions.get(sessionId)?.leaseUntilMs ?? 0) > nowMs
  }

  serve(sessionId: number, policies: ReadonlyArray<KindPolicy>): void {
    const session = this.#sessions.get(sessionId)
    if (session !== undefined) session.kinds = policies.map((policy) => policy.kind)
    for (const policy of policies) this.#policies.set(policy.kind, policy)
  }

  /** As its process has announced them, if no failover has lost that. */
  servedBy(sessionId: number): ReadonlyArray<string> {
    return this.#sessions.get(sessionId)?.kinds ?? []
  }

  /** Whether some worker has announced it. */
  knows(kind: string): boolean {
    return this.#policies.has(kind)
  }

  policyOf(kind: string): KindPolicy {
    return this.#policies.get(kind) ?? defaultKindPolicy(kind)
  }

  pause(target: PauseTarget, isPaused: boolean): void {
    const [paused, name] =
      target._tag === "Kind" ? [this.#pausedKinds, target.kind] : [this.#pausedQueues, target.queue]
    if (target._tag === "Kind") this.#namedKinds.add(target.kind)
    if (isPaused) paused.add(name)
    else paused.delete(name)
  }

  isPaused(kind: string): boolean {
    return this.#pausedKinds.has(kind) || this.#pausedQueues.has(this.policyOf(kind).queue)
  }

  /** Every kind announced, paused or only scheduled so far, by name. */
  kinds(scheduledKinds: Iterable<string>, nowMs: number): ReadonlyArray<KindRecord> {
    const names = new Set([...this.#policies.keys(), ...this.#namedKinds, ...scheduledKinds])
    const live = this.#live(nowMs)
    return Array.from(names)
      .toSorted()
      .map((kind) => ({
        policy: this.policyOf(kind),
        known: this.knows(kind),
        liveSessions: live.filter((session) => session.kinds.includes(kind)).length,
        isPaused: this.isPaused(kind)
      }))
  }

  #live(nowMs: number): ReadonlyArray<SessionRow> {
    return Array.from(this.#sessions.values()).filter((session) => session.leaseUntilMs > nowMs)
  }
}

type SessionRow = { leaseUntilMs: number; kinds: ReadonlyArray<string> }
