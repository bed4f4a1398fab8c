/**
 * A contestant in a process of its own: does what it is asked over the channel to its parent, stamps each start, and ends when the
 * parent is gone. All contestants run in this one program, so they are stamped and timed by the same lines.
 */
import { setTimeout as sleep } from "node:timers/promises"
import type { Answer, Ask, Scheduler, SchedulerModule, Kind, Question, Settled, Starts } from "./contestant.ts"
import { moduleOf } from "./peers.ts"
import { makeWallClock } from "./wallClock.ts"

/** How often it is looked whether all have started, and then whether all have settled. */
const lookIntervalMs = 5

const nowMs = makeWallClock()

type Serving = {
  readonly n: Array<number>
  readonly atMs: Array<number>
  readonly servedAtMs: number
  stop: () => Promise<void>
}

let scheduler: Scheduler | undefined
const serving = new Map<Kind, Serving>()

const opened = (): Scheduler => {
  if (scheduler === undefined) throw new Error("not opened")
  return scheduler
}

const served = (kind: Kind): Serving => {
  const found = serving.get(kind)
  if (found === undefined) throw new Error(`${kind} is not served`)
  return found
}

const serve = async (kind: Kind): Promise<void> => {
  const one: Serving = { n: [], atMs: [], servedAtMs: nowMs(), stop: () => Promise.resolve() }
  serving.set(kind, one)
  one.stop = await opened().serve(kind, (n) => {
    one.n.push(n)
    one.atMs.push(nowMs())
  })
}

const settle = async (kind: Kind, wanted: number, limitMs: number): Promise<Settled> => {
  const { n, servedAtMs } = served(kind)
  const untilMs = performance.now() + limitMs
  let isOver = false
  while (!isOver && performance.now() < untilMs) {
    isOver = n.length >= wanted && (await opened().unsettled(kind, wanted)) === 0
    if (!isOver) await sleep(lookIntervalMs)
  }
  const settledAtMs = nowMs()
  return { isOver, startedCount: n.length, ms: settledAtMs - servedAtMs, settledAtMs }
}

const starts = (kind: Kind): Starts => {
  const { atMs, n } = served(kind)
  const recorded = opened().recordedLateMs?.(kind)
  return {
    n: Int32Array.from(n),
    atMs: Float64Array.from(atMs),
    recordedLateMs: recorded === undefined ? null : Float64Array.from(recorded)
  }
}

const answer = async (question: Ask): Promise<Extract<Answer, { readonly value: unknown }>["value"]> => {
  switch (question.ask) {
    case "open": {
      const { open }: SchedulerModule = await import(moduleOf(question.peer))
      scheduler = await open(question.place)
      return null
    }
    case "schedule": {
      const fromMs = performance.now()
      await opened().schedule(question.kind, question.tasks)
      return { ms: performance.now() - fromMs }
    }
    case "serve":
      await serve(question.kind)
      return null
    case "stop":
      await served(question.kind).stop()
      return null
    case "settle":
      return settle(question.kind, question.wanted, question.limitMs)
    case "starts":
      return starts(question.kind)
    case "close":
      await opened().close()
      return null
  }
}

const reply = (message: Answer): void => {
  // Without the callback a parent that is gone would be thrown as an error; the channel's end ends this process.
  process.send?.(message, undefined, undefined, () => {})
}

process.on("message", ({ id, question }: Question) => {
  answer(question).then(
    (value) => reply({ id, value }),
    (cause: unknown) => reply({ id, failure: cause instanceof Error ? (cause.stack ?? cause.message) : String(cause) })
  )
})
// Ctrl-C in a terminal reaches every process of the group; the harness ends this one when it is done with it.
process.on("SIGINT", () => {})
process.on("disconnect", () => process.exit(1))
