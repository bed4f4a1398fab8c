/**
 * Several sessions at the same time on one real PostgreSQL: every request of theirs waits at a gate, and a scheduler of fast-check
 * decides whose goes on. One that waits for a lock of another is seen to be blocked, and another one is released.
 */
import type { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import type * as fc from "fast-check"
import type { Operation } from "./Operation.ts"
import type { Gate } from "./Gate.ts"
import type { Done } from "./linearise.ts"
import type { Run } from "./Subject.ts"

export type Interleaved = {
  readonly done: ReadonlyArray<Done>
  /** Whose request was released, in order, with its first words. */
  readonly trace: ReadonlyArray<string>
  /** Requests that were seen to wait for somebody else's. */
  readonly blockedCount: number
}

/** So long a request may take before it is asked whether it waits for a lock, ms. */
const promptMs = 4
/** A request that neither ends nor waits for anybody, or a client that sends nothing more, ms. */
const stuckMsMax = 15_000
const lookEveryMs = 2
const traceTextMax = 60

type Session = { isDone: boolean; heldCount: number; begunAt: number | null }

export const interleave = (options: {
  readonly run: Run
  readonly gates: ReadonlyArray<Gate>
  readonly operations: ReadonlyArray<Operation>
  readonly scheduler: fc.Scheduler
  readonly observer: PgClient.PgClient
}): Effect.Effect<Interleaved, Error> =>
  Effect.tryPromise({
    try: () => drive(options),
    catch: (error) => (error instanceof Error ? error : new Error(String(error)))
  })

const drive = async ({
  gates,
  observer,
  operations,
  run,
  scheduler
}: Parameters<typeof interleave>[0]): Promise<Interleaved> => {
  const used = gates.slice(0, operations.length)
  const sessions = used.map((): Session => ({ isDone: false, heldCount: 0, begunAt: null }))
  const trace: Array<string> = []
  const blocked = new Set<string>()
  let step = 0
  let wake = () => {}
  for (const [index, gate] of used.entries()) {
    const session = sessions[index]
    if (session === undefined) continue
    gate.hold()
    gate.onAnswered = () => wake()
    gate.onHeld = ({ release, sql }) => {
      session.heldCount++
      const label = `${index} ${operations[index]?.tag}: ${sql.replaceAll(/\s+/g, " ").slice(0, traceTextMax)}`
      const letGo = async () => {
        await scheduler.schedule(Promise.resolve(), label)
        session.heldCount--
        session.begunAt ??= ++step
        trace.push(label)
        release()
      }
      void letGo()
      wake()
    }
  }
  const answers = operations.map(async (operation, index): Promise<Done & { readonly thunk: () => unknown }> => {
    const thunk = await Effect.runPromise(run.perform(operation, index))
    const session = sessions[index]
    if (session !== undefined) session.isDone = true
    wake()
    return { operation, answer: null, thunk, begunAt: session?.begunAt ?? 0, answeredAt: ++step }
  })

  /** Until every session is done, waits at its gate, or waits for another one's lock. */
  const settled = async (): Promise<void> => {
    const beganAtMs = performance.now()
    let isPrompt = true
    for (;;) {
      const busy = used.flatMap((gate) => gate.busy)
      const isQuiet = sessions.every(
        ({ heldCount, isDone }, index) => isDone || heldCount > 0 || (used[index]?.busy.length ?? 0) > 0
      )
      if (isQuiet && busy.length === 0) return
      if (isQuiet && !isPrompt) {
        const waiting = await waitingFor(observer, busy)
        const stillBusy = used.flatMap((gate) => gate.busy)
        if (stillBusy.length === busy.length && stillBusy.every((pid) => waiting.has(pid))) {
          for (const pid of stillBusy) blocked.add(`${pid} ${step}`)
          return
        }
      }
      if (performance.now() - beganAtMs > stuckMsMax) throw new Error(`stuck after ${trace.join("; ")}`)
      const wasWoken = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(() => resolve(false), isPrompt ? promptMs : lookEveryMs)
        wake = () => {
          clearTimeout(timer)
          // What the answer leads to is begun in a turn of its own.
          setImmediate(() => resolve(true))
        }
      })
      wake = () => {}
      isPrompt = wasWoken
    }
  }

  try {
    await settled()
    for (;;) {
      if (scheduler.count() > 0) await scheduler.waitNext(1)
      else if (sessions.every(({ isDone }) => isDone)) break
      await settled()
    }
  } finally {
    for (const gate of used) {
      gate.onHeld = ({ release }) => release()
      gate.onAnswered = () => {}
      gate.open()
    }
  }
  const done = await Promise.all(answers)
  await Effect.runPromise(run.look)
  return {
    done: done.map(({ thunk, ...rest }) => ({ ...rest, answer: thunk() })),
    trace,
    blockedCount: blocked.size
  }
}

/** Of these backends those that wait for a lock. */
const waitingFor = async (observer: PgClient.PgClient, pids: ReadonlyArray<number>): Promise<ReadonlySet<number>> => {
  const rows = await Effect.runPromise(
    Effect.orDie(
      observer.unsafe<{ readonly pid: number }>(
        `SELECT pid FROM unnest($1::text::int4[]) AS b (pid) WHERE cardinality(pg_blocking_pids(pid)) > 0`,
        [`{${pids.join(",")}}`]
      )
    )
  )
  return new Set(rows.map(({ pid }) => pid))
}
