/** What a draw means on the state of the spec: the operation that is asked of every store. Null: it means nothing there. */
import type { Wish } from "../../src/store/TaskStore.ts"
import type { Draw, NewDraw, WishDraw } from "./Draw.ts"
import { type Held, type NewOne, noLimit, type Operation } from "./Operation.ts"
import { isOpen } from "./openAnswers.ts"
import { kindNames, queueNames } from "./rules.ts"
import type { SpecDatabase } from "./SpecDatabase.ts"
import type { Fact, Link, Links, Name } from "./facts.ts"

export class Resolver {
  readonly #spec: SpecDatabase
  readonly #idsFromMs: number
  #tasksCount = 0
  #requestsCount = 0
  /** What can be sent again. */
  readonly #sent: Array<Operation> = []

  constructor(spec: SpecDatabase) {
    this.#spec = spec
    this.#idsFromMs = Math.floor(spec.nowMs)
  }

  resolve(draw: Draw): Operation | null {
    const operation = this.#operationOf(draw)
    if (operation === null || isOpen(this.#spec, operation)) return null
    const isRequest = "items" in operation || "request" in operation || operation.tag === "Schedule"
    if (isRequest && draw.tag !== "Repeat") this.#sent.push(operation)
    return operation
  }

  #operationOf(draw: Draw): Operation | null {
    const spec = this.#spec
    switch (draw.tag) {
      case "Schedule":
        return { tag: "Schedule", tasks: draw.tasks.map((task) => this.#newOne(task)) }
      case "Claim": {
        const { concurrencyMax, lanes, limit, lookAheadMs, session } = draw
        const isCapped = concurrencyMax !== null
        const kinds = isCapped ? [kindNames[draw.kinds % kindNames.length] ?? ""] : kindsOf(draw.kinds)
        const priorities =
          lanes === "all" ? null : lanes === "urgent" ? (["critical", "high"] as const) : (["low"] as const)
        return { tag: "Claim", session, kinds, priorities, lookAheadMs, limit, concurrencyMax }
      }
      case "ClaimedBy":
        return { tag: "ClaimedBy", session: draw.session, dueBeforeMs: Math.floor(spec.nowMs) + draw.dueInMs }
      case "Pull":
        return { ...draw, kinds: kindsOf(draw.kinds) }
      case "TakeParked":
        return { tag: "TakeParked", kinds: kindsOf(draw.kinds), limit: noLimit }
      case "Reconcile": {
        const held = this.#pick(draw.parking, "TaskParked")
        return held === null ? null : { tag: "Reconcile", ...held, request: this.#request(), answer: draw.answer }
      }
      case "Act":
        return this.#act(draw.task, draw.wish)
      case "Pause": {
        const { isPaused, isQueue, which } = draw
        const target = isQueue
          ? ({ _tag: "Queue", queue: queueNames[which % queueNames.length] ?? "" } as const)
          : ({ _tag: "Kind", kind: kindNames[which % kindNames.length] ?? "" } as const)
        return { tag: "Pause", target, isPaused }
      }
      case "Ends":
        return { tag: "Ends", tasks: spec.names() }
      case "Kill":
      case "Leave":
        return spec.isAlive(draw.session) ? draw : null
      case "Repeat":
        return this.#sent.at(-1 - draw.back) ?? null
      case "AnyExpired":
      case "Expire":
      case "ExpireTasks":
      case "RelayDead":
      case "Tick":
        return draw
      default:
        return this.#attemptOf(draw)
    }
  }

  #attemptOf(draw: AttemptDraw): Operation | null {
    const spec = this.#spec
    switch (draw.tag) {
      case "Unclaim": {
        const items = this.#picked(draw.claims, "TaskClaimed", () => ({ request: this.#request() }))
        return items.length === 0 ? null : { tag: "Unclaim", items, reason: draw.reason }
      }
      case "Start": {
        const dispatchedAtMs = draw.isDispatched ? Math.floor(spec.nowMs) : null
        const of = () => ({ request: this.#request(), timeoutMs: draw.timeoutMs, dispatchedAtMs })
        const items = this.#picked(draw.claims, "TaskClaimed", of)
        return items.length === 0 ? null : { tag: "Start", session: draw.session, items }
      }
      case "StartDue": {
        const kinds = kindsOf(draw.kinds).map((kind) => ({ kind, timeoutMs: draw.timeoutMs }))
        const requests = Array.from({ length: draw.limit }, () => this.#request())
        return { tag: "StartDue", session: draw.session, kinds, requests }
      }
      case "StartedWith": {
        const requests = draw.starts.flatMap((start) => {
          const held = this.#pick(start, "AttemptStarted")
          const by = held === null ? null : spec.streams.get(held.task)?.facts[held.fence - 1]?.by
          return by === null || by === undefined ? [] : [by]
        })
        return requests.length === 0 ? null : { tag: "StartedWith", requests }
      }
      case "Finish": {
        const picked = draw.starts.flatMap(({ outcome, start }) => {
          const held = this.#pick(start, "AttemptStarted")
          return held === null ? [] : [{ ...held, request: this.#request(), outcome }]
        })
        const items = oncePerTask(picked)
        return items.length === 0 ? null : { tag: "Finish", items }
      }
      case "FinishWith": {
        const held = this.#pick(draw.start, "AttemptStarted")
        if (held === null) return null
        const tasks = draw.tasks.map((task) => this.#newOne(task))
        return { tag: "FinishWith", ...held, request: this.#request(), outcome: draw.outcome, tasks }
      }
    }
  }

  #act(task: number, wish: WishDraw): Operation | null {
    const fitting = new Set(fittingStages[wish.tag])
    const names = this.#spec.names().toReversed()
    const isFitting = (name: Name) => fitting.has(this.#spec.task(name).stage)
    const ordered = [...names.filter(isFitting), ...names.filter((name) => !isFitting(name)), "nobody"]
    const name = ordered[task % ordered.length] ?? "nobody"
    return { tag: "Act", task: name, request: this.#request(), wish: this.#wishOf(wish) }
  }

  #wishOf(wish: WishDraw): Wish {
    switch (wish.tag) {
      case "Cancel":
        return { _tag: "Cancel", reason: wish.reason }
      case "Reschedule":
        return { _tag: "Reschedule", dueAtMs: Math.floor(this.#spec.nowMs) + wish.dueInMs }
      case "Reprioritise":
        return { _tag: "Reprioritise", priority: wish.priority }
      default:
        return { _tag: wish.tag }
    }
  }

  #newOne(draw: NewDraw): NewOne {
    const { expiresInMs, key, keyKeptMs, next, nextInMs, payload, priority } = draw
    const dueAtMs = Math.floor(this.#spec.nowMs) + draw.dueInMs
    const number = this.#tasksCount++
    const kind = kindNames[draw.kind] ?? ""
    return {
      name: `t${number}`,
      request: this.#request(),
      // The caller clamps the past.
      id: idOf(Math.max(dueAtMs, this.#idsFromMs), number),
      kind,
      priority,
      dueAtMs,
      expiresAtMs: expiresInMs === null ? null : dueAtMs + expiresInMs,
      key,
      keyKeptMs: key === null ? null : keyKeptMs,
      payload,
      ...linksOf(next, {
        kind: kindNames[(draw.kind + 1) % kindNames.length] ?? "",
        priority,
        inMs: nextInMs,
        dueJitter: null,
        payload: number
      })
    }
  }

  #request(): number {
    return ++this.#requestsCount
  }

  /** Held by the events of a tag: those in force first, then the latest. */
  #pick(index: number, tag: Fact["tag"]): Held | null {
    const found: Array<Held> = []
    for (const [task, { facts }] of this.#spec.streams)
      for (const fact of facts) if (fact.tag === tag) found.push({ task, fence: fact.version })
    const isInForce = ({ fence, task }: Held) => this.#spec.task(task).fence === fence
    const latest = found.toReversed()
    const ordered = [...latest.filter(isInForce), ...latest.filter((held) => !isInForce(held))]
    return ordered[index % ordered.length] ?? null
  }

  #picked<A>(picks: ReadonlyArray<number>, tag: Fact["tag"], of: () => A): ReadonlyArray<Held & A> {
    return oncePerTask(
      picks.flatMap((index) => {
        const held = this.#pick(index, tag)
        return held === null ? [] : [{ ...held, ...of() }]
      })
    )
  }
}

type AttemptTag = "Unclaim" | "Start" | "StartDue" | "StartedWith" | "Finish" | "FinishWith"
type AttemptDraw = Extract<Draw, { readonly tag: AttemptTag }>

const fittingStages: Record<WishDraw["tag"], ReadonlyArray<string>> = {
  Cancel: ["running", "claimed", "pending", "parked"],
  Reschedule: ["pending", "claimed"],
  Reprioritise: ["running", "claimed", "pending"],
  RunNow: ["parked", "pending", "claimed"],
  Redrive: ["dead"]
}

/** Two moves of one task in one statement are one too many for PostgreSQL; the port's callers send none. */
const oncePerTask = <A extends Held>(items: ReadonlyArray<A>): ReadonlyArray<A> =>
  items.filter(({ task }, index) => items.findIndex((other) => other.task === task) === index)

/** 0: all of them. */
const kindsOf = (index: number): ReadonlyArray<string> => {
  const only = kindNames[index - 1]
  return only === undefined ? kindNames : [only]
}

const linksOf = (next: NewDraw["next"], link: Link): Links => ({
  ...(next === "onSuccess" || next === "both" ? { onSuccess: link } : {}),
  ...(next === "onDead" || next === "both" ? { onDead: { ...link, inMs: 0 } } : {})
})

/** As RFC 9562 lays out version 7: the due time, and then nothing but the number, so that ties have an order. */
const idOf = (atMs: number, number: number): string => {
  const hex = atMs.toString(16).padStart(12, "0")
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-${number.toString(16).padStart(12, "0")}`
}
