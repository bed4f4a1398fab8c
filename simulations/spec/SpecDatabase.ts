/**
 * The executable spec of the store's port: many tasks, sessions, keys and pauses in one world that takes an operation at a time and
 * says what must be answered. `anything` stands where the port leaves the answer open.
 */
import type { NewOne, Operation, Request } from "./Operation.ts"
import { type Known, keyAnswer, keyOf } from "./specKeys.ts"
import { claimOf, endOf, startedOf } from "./specAnswers.ts"
import { claimed, pulled, startDue } from "./specClaims.ts"
import { leasesMs, rulesOf } from "./rules.ts"
import { expire, isAnyExpired, relayDead, takeParked } from "./specSweeps.ts"
import { anything, type Command, type Fact, type Links, type Name, type Recorded, type Task } from "./facts.ts"
import { born, decide, evolve } from "./task.ts"

export type Stream = {
  /** Null: the store has named it, after an end. */
  readonly id: string | null
  readonly links: Links
  readonly facts: Array<Recorded>
  /** After each of the facts. */
  readonly states: Array<Task>
}

export type Session = { leaseUntilMs: number; ended: "lost" | "left" | null }

export class SpecDatabase {
  nowMs: number
  streams = new Map<Name, Stream>()
  sessions: Array<Session>
  pausedKinds = new Set<string>()
  pausedQueues = new Set<string>()
  keys = new Map<string, Known>()
  /** How often the outside was asked about what is parked, and when it is to be asked again. */
  asks = new Map<Name, { count: number; atMs: number | null }>()
  /** Versions of the deaths that were announced. */
  announced = new Map<Name, number>()

  constructor(nowMs: number) {
    this.nowMs = nowMs
    this.sessions = leasesMs.map((ms) => ({ leaseUntilMs: nowMs + ms, ended: null }))
  }

  clone(): SpecDatabase {
    const copy = new SpecDatabase(this.nowMs)
    for (const [name, { facts, id, links, states }] of this.streams)
      copy.streams.set(name, { id, links, facts: [...facts], states: [...states] })
    copy.sessions = this.sessions.map((session) => ({ ...session }))
    copy.pausedKinds = new Set(this.pausedKinds)
    copy.pausedQueues = new Set(this.pausedQueues)
    copy.keys = new Map(this.keys)
    copy.asks = new Map(Array.from(this.asks, ([name, ask]) => [name, { ...ask }]))
    copy.announced = new Map(this.announced)
    return copy
  }

  apply(operation: Operation): unknown {
    switch (operation.tag) {
      case "Tick":
        this.nowMs += operation.ms
        return null
      case "Schedule":
        return operation.tasks.map((task) => this.schedule(task))
      case "Claim":
        return this.#claim(operation)
      case "ClaimedBy":
        return this.#claimsOf(operation.session, operation.dueBeforeMs)
      case "Pull":
        return pulled(this, operation)
      case "Unclaim":
        return operation.items.map(({ fence, request, task }) => {
          const isMade = this.madeBy(task, request) !== null
          return isMade || this.move(task, { tag: "Unclaim", fence, reason: operation.reason }, request)
            ? "Released"
            : "Lost"
        })
      case "Start":
        return operation.items.map((item) => this.#start(operation.session, item))
      case "StartDue":
        return startDue(this, operation)
      case "StartedWith":
        return this.#startedWith(operation.requests)
      case "Finish":
        return operation.items.map(({ fence, outcome, request, task }) =>
          this.#settled(task, { tag: "Settle", fence, outcome }, request)
        )
      case "FinishWith":
        return this.#finishWith(operation)
      case "AnyExpired":
        return isAnyExpired(this) ? true : anything
      case "Expire":
        return expire(this)
      case "ExpireTasks":
        return this.names()
          .toSorted()
          .filter((name) => this.move(name, { tag: "TooLate" }, null))
      case "TakeParked":
        return takeParked(this, operation)
      case "Reconcile": {
        const { answer, fence, request, task } = operation
        return this.#settled(task, { tag: "Reconcile", fence, answer }, request)
      }
      case "Act":
        return this.#act(operation)
      case "Pause": {
        const { isPaused, target } = operation
        const [set, name] = target._tag === "Kind" ? [this.pausedKinds, target.kind] : [this.pausedQueues, target.queue]
        if (isPaused) set.add(name)
        else set.delete(name)
        return null
      }
      case "RelayDead":
        return relayDead(this, operation.isHeard)
      case "Ends":
        return operation.tasks.map((name) => endOf(this, name))
      case "Kill":
        this.#session(operation.session).leaseUntilMs = this.nowMs - 1
        return null
      case "Leave":
        this.#session(operation.session).ended = "left"
        return null
    }
  }

  /** All there is, in the order of their names. */
  look(): ReadonlyArray<{
    readonly task: Name
    readonly facts: ReadonlyArray<Recorded>
    readonly projections: unknown
  }> {
    return this.names()
      .toSorted()
      .map((name) => {
        const { attempt, charged, dueAtMs, kind, priority, stage, version } = this.task(name)
        const isOver = stage === "succeeded" || stage === "cancelled" || stage === "expired"
        const row = { stage, kind, priority, dueAtMs, version, attempt, charged }
        return { task: name, facts: this.streams.get(name)?.facts ?? [], projections: isOver ? [] : [row] }
      })
  }

  names(): ReadonlyArray<Name> {
    return Array.from(this.streams.keys())
  }

  task(name: Name): Task {
    const state = this.streams.get(name)?.states.at(-1)
    if (state === undefined) throw new Error(`the spec knows no task ${name}`)
    return state
  }

  isAlive(session: number): boolean {
    const { ended, leaseUntilMs } = this.#session(session)
    return ended === null && leaseUntilMs > this.nowMs
  }

  isPaused(kind: string): boolean {
    return this.pausedKinds.has(kind) || this.pausedQueues.has(rulesOf(kind).queue)
  }

  /** The state after the event that this request has made. */
  madeBy(name: Name, request: Request): Task | null {
    const stream = this.streams.get(name)
    const index = stream?.facts.findIndex(({ by }) => by === request) ?? -1
    return stream?.states[index] ?? null
  }

  schedule(task: NewOne): unknown {
    if (this.streams.has(task.name))
      return { tag: this.madeBy(task.name, task.request) === null ? "Existing" : "Created", task: task.name }
    const known = keyAnswer(this, task)
    if (known !== null) return known
    const { expiresAtMs, id, key, keyKeptMs, kind, name, onDead, onSuccess, payload, priority, request } = task
    const links = { ...(onSuccess === undefined ? {} : { onSuccess }), ...(onDead === undefined ? {} : { onDead }) }
    this.#bear(name, id, { kind, priority, dueAtMs: task.dueAtMs, expiresAtMs, key, payload, ...links }, request)
    if (key !== null) this.keys.set(keyOf(kind, key), { task: name, payload, keptMs: keyKeptMs })
    return { tag: "Created", task: name }
  }

  /** Whether the command was granted; what follows comes with it. */
  move(name: Name, command: Command, request: Request | null): boolean {
    const stream = this.streams.get(name)
    if (stream === undefined) return false
    const decision = decide(this.task(name), command, rulesOf(this.task(name).kind), this.nowMs)
    if (decision === null || decision.tag === "Rejected") return false
    this.#append(name, stream, decision, request)
    return true
  }

  #append(name: Name, stream: Stream, fact: Fact, by: Request | null): void {
    const state = evolve(this.task(name), fact)
    stream.facts.push({ ...fact, version: state.version, atMs: this.nowMs, by })
    stream.states.push(state)
    this.asks.delete(name)
    if (state.stage === "parked") this.asks.set(name, { count: 0, atMs: this.nowMs })
    const { onDead, onSuccess } = stream.links
    const link = state.stage === "succeeded" ? onSuccess : state.stage === "dead" ? onDead : undefined
    if (link === undefined) return
    const dueAtMs = link.inMs === 0 ? Math.floor(this.nowMs) : Math.ceil(this.nowMs + link.inMs)
    const { kind, payload, priority } = link
    const follows = { task: name, version: state.version }
    const child = { kind, priority, dueAtMs, expiresAtMs: null, key: null, payload, follows }
    this.#bear(`${name}@${state.version}>`, null, child, null)
  }

  #bear(name: Name, id: string | null, fact: Parameters<typeof born>[0], by: Request | null): void {
    const first: Recorded = { tag: "TaskScheduled", ...fact, version: 1, atMs: this.nowMs, by }
    const { onDead, onSuccess } = fact
    const links = { ...(onSuccess === undefined ? {} : { onSuccess }), ...(onDead === undefined ? {} : { onDead }) }
    this.streams.set(name, { id, links, facts: [first], states: [born(fact)] })
  }

  #claim(operation: Extract<Operation, { readonly tag: "Claim" }>): unknown {
    const { isCapped, names, nextDueAtMs } = claimed(this, operation)
    for (const name of names) this.move(name, { tag: "Claim", session: operation.session }, null)
    return { tasks: names.map((name) => claimOf(this, name)), nextDueAtMs, isCapped }
  }

  #claimsOf(session: number, dueBeforeMs: number): unknown {
    const names = this.names().filter((name) => {
      const task = this.task(name)
      return task.stage === "claimed" && task.session === session && task.dueAtMs < dueBeforeMs
    })
    return names.toSorted().map((name) => claimOf(this, name))
  }

  #start(
    session: number,
    { fence, request, task: name, ...start }: Extract<Operation, { readonly tag: "Start" }>["items"][number]
  ): unknown {
    if (!this.streams.has(name)) return { tag: "Lost" }
    const task = this.task(name)
    if (task.stage === "running" && this.factAt(name, task.fence)?.by === request) return startedOf(this, name)
    if (!this.isAlive(session) || this.isPaused(task.kind)) return { tag: "Lost" }
    const { dispatchedAtMs, timeoutMs } = start
    const command: Command = { tag: "Start", fence, session, timeoutMs, dispatchedAtMs }
    const decision = decide(task, command, rulesOf(task.kind), this.nowMs)
    if (decision?.tag === "Rejected" && decision.why._tag === "TooEarly")
      return { tag: "TooEarly", dueInMs: Math.ceil(task.dueAtMs - this.nowMs) }
    return this.move(name, command, request) ? startedOf(this, name) : { tag: "Lost" }
  }

  #startedWith(requests: ReadonlyArray<Request>): unknown {
    return this.names()
      .toSorted()
      .flatMap((name) => {
        const task = this.task(name)
        const by = this.factAt(name, task.fence)?.by ?? null
        return task.stage === "running" && by !== null && requests.includes(by) ? [startedOf(this, name)] : []
      })
  }

  #settled(name: Name, command: Command, request: Request): unknown {
    const made = this.madeBy(name, request)
    if (made !== null) return { tag: "Recorded", stage: made.stage }
    return this.move(name, command, request) ? { tag: "Recorded", stage: this.task(name).stage } : { tag: "Lost" }
  }

  #finishWith({ fence, outcome, request, task, tasks }: Extract<Operation, { readonly tag: "FinishWith" }>): unknown {
    if (this.madeBy(task, request) !== null) return { tag: "Committed", scheduled: anything }
    const before = this.clone()
    const scheduled = tasks.map((one) => this.schedule(one))
    if (this.move(task, { tag: "Settle", fence, outcome }, request)) return { tag: "Committed", scheduled }
    this.streams = before.streams
    this.keys = before.keys
    return { tag: "LeaseLost" }
  }

  #act({ request, task: name, wish }: Extract<Operation, { readonly tag: "Act" }>): unknown {
    if (!this.streams.has(name)) return { tag: "TaskNotFound" }
    const made = this.madeBy(name, request)
    if (made !== null) return { tag: "Done", state: made }
    const before = this.task(name)
    const decision = decide(before, { tag: "Wish", wish }, rulesOf(before.kind), this.nowMs)
    if (decision?.tag === "Rejected") return { tag: "Rejected", state: before, rejection: decision.why }
    this.move(name, { tag: "Wish", wish }, request)
    return { tag: "Done", state: this.task(name) }
  }

  #session(index: number): Session {
    const session = this.sessions[index]
    if (session === undefined) throw new Error(`the spec knows no session ${index}`)
    return session
  }

  factAt(name: Name, version: number | null): Recorded | undefined {
    return this.streams.get(name)?.facts.find((fact) => fact.version === version)
  }
}
