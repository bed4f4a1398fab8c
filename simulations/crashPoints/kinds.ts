/** What the tasks of the points do, and the kinds of `simulations/chaos` as which they are judged. */
import { Schema } from "effect"
import { RetryPolicy, Task } from "../../src/index.ts"
import * as chaos from "../chaos/kinds.ts"

/** The payload says all that an attempt does. */
const payload = {
  /** Of the first attempt. */
  workMs: Schema.Finite,
  /** Of those after it: long enough that a process that wakes up finds somebody else at its task. */
  againMs: Schema.Finite
}

export type Work = { readonly workMs: number; readonly againMs: number }

/** More attempts than the hits can take from one task. */
const persistent = RetryPolicy.exponential({ base: "50 millis", cap: "1 second", attemptsMax: 200 })
const few = (attemptsMax: number) => RetryPolicy.fixed({ delay: "100 millis", attemptsMax })

/** By what it does, and what must be seen of it. Attempts have longer than any wait at a point, so that none runs out there. */
const families = {
  /** Writes a row in the transaction of its outcome. */
  commit: { judgedAs: chaos.Commit, retry: persistent, timeout: "30 seconds", onInterrupted: "retry" },
  /** Calls the outside, with key and fence. */
  call: { judgedAs: chaos.Call, retry: persistent, timeout: "30 seconds", onInterrupted: "retry" },
  /** The same; after an interruption the outside is asked what happened. */
  ask: { judgedAs: chaos.CallOnce, retry: persistent, timeout: "30 seconds", onInterrupted: "park" },
  /** The same, and its first attempt never comes back. */
  hang: { judgedAs: chaos.CallOnce, retry: persistent, timeout: "700 millis", onInterrupted: "park" },
  plain: { judgedAs: chaos.Plain, retry: persistent, timeout: "30 seconds", onInterrupted: "retry" },
  /** Its first attempt fails. */
  fail: { judgedAs: chaos.Plain, retry: persistent, timeout: "30 seconds", onInterrupted: "retry" },
  /** Fails for ever. */
  doomed: { judgedAs: chaos.Doomed, retry: few(2), timeout: "30 seconds", onInterrupted: "retry" },
  /** Kills the process that handles it; two attempts, then it must be a dead letter. */
  poison: { judgedAs: chaos.Doomed, retry: few(2), timeout: "30 seconds", onInterrupted: "retry" }
} as const

export type Family = keyof typeof families

export type PointKind = ReturnType<typeof kindOf>

/** Of a point, or of `any`: the kind and its queue are called alike. */
export const kindOf = (name: string, family: Family) => {
  const { judgedAs, onInterrupted, retry, timeout } = families[family]
  const queue = `points.${name}`
  const kind = Task.define(queue, { payload, queue, retry, timeout, onInterrupted, deathsMax: chaos.deathsMax })
  return { ...kind, family, judgedAs: judgedAs.kind }
}

/** What engines are hit with; served by a worker that nobody hits. */
export const Any = kindOf("any", "commit")
export const Doomed = kindOf("doomed", "doomed")
