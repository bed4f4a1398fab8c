/**
 * What callers of the store were told of single tasks, and between which instants: the history that S19 judges. It stands before the
 * legs, so an operation lasts from its caller's first try until an answer has come back to it.
 */
import { Effect } from "effect"
import type { TaskStore } from "../../src/store/TaskStore.ts"

export type Operation = {
  readonly name: string
  readonly taskId: string
  /** Of the event that it writes; null: it only looks. */
  readonly eventId: string | null
  readonly invokedAtMs: number
  readonly answeredAtMs: number
  /** Version that its answer tells of. */
  readonly version: number
}

/** An engine's claim: who asked when, and how much it was given. */
export type Ask = {
  readonly owner: string
  readonly sessionId: number
  readonly askedAtMs: number
  readonly count: number
}

export class Operations {
  readonly all: Array<Operation> = []
  readonly asks: Array<Ask> = []
  /** When incarnations were killed, by name. */
  readonly killedAtMs = new Map<string, number>()
  readonly #nowMs: () => number
  /** First tries, by event id: a request that is sent again is the same operation. */
  readonly #invokedAtMs = new Map<string, number>()
  readonly #isWritten = new Set<string>()

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  /** The store as this incarnation uses it. */
  recorded(store: TaskStore["Service"], owner: string): TaskStore["Service"] {
    return {
      ...store,
      act: (taskId, eventId, wish) =>
        this.#during([eventId], store.act(taskId, eventId, wish), ({ state }, invokedAtMs) =>
          // Refused, or nothing to be done: it has looked.
          this.#add(`act ${wish._tag}`, taskId, state.eventId === eventId ? eventId : null, invokedAtMs, state.version)
        ),
      claim: (request) => {
        const askedAtMs = this.#nowMs()
        return this.#during([], store.claim(request), ({ tasks }, invokedAtMs) => {
          this.asks.push({ owner, sessionId: request.sessionId, askedAtMs, count: tasks.length })
          for (const { fence, taskId } of tasks) this.#add("claim", taskId, fence.eventId, invokedAtMs, fence.version)
        })
      },
      claimedBy: (sessionId, dueBeforeMs, limit) =>
        this.#during([], store.claimedBy(sessionId, dueBeforeMs, limit), (tasks, invokedAtMs) => {
          for (const { fence, taskId } of tasks) this.#add("claimedBy", taskId, null, invokedAtMs, fence.version)
        }),
      pull: (request) =>
        this.#during([], store.pull(request), (tasks, invokedAtMs) => {
          for (const { fence, taskId } of tasks) this.#add("pull", taskId, null, invokedAtMs, fence.version)
        }),
      startDue: (request) =>
        this.#during(request.eventIds, store.startDue(request), (answers, invokedAtMs) => {
          for (const { fence, taskId } of answers)
            this.#add("startDue", taskId, fence.eventId, invokedAtMs, fence.version)
        }),
      start: (sessionId, batch) =>
        this.#during(
          batch.map(({ eventId }) => eventId),
          store.start(sessionId, batch),
          (answers, invokedAtMs) => {
            for (const answer of answers) {
              if (answer._tag !== "Started") continue
              this.#add("start", answer.taskId, answer.fence.eventId, invokedAtMs, answer.fence.version)
            }
          }
        )
    }
  }

  killed(owner: string): void {
    this.killedAtMs.set(owner, this.#nowMs())
  }

  #during<A, E, R>(
    eventIds: ReadonlyArray<string>,
    call: Effect.Effect<A, E, R>,
    told: (answer: A, invokedAtMs: number) => void
  ): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const invokedAtMs = this.#nowMs()
      for (const eventId of eventIds) {
        if (!this.#invokedAtMs.has(eventId)) this.#invokedAtMs.set(eventId, invokedAtMs)
      }
      return Effect.map(call, (answer) => {
        told(answer, invokedAtMs)
        return answer
      })
    })
  }

  #add(name: string, taskId: string, eventId: string | null, invokedAtMs: number, version: number): void {
    if (eventId !== null) {
      // Its later answers tell of the same event: what they say had happened when the first one came.
      if (this.#isWritten.has(eventId)) return
      this.#isWritten.add(eventId)
    }
    const firstAtMs = eventId === null ? invokedAtMs : (this.#invokedAtMs.get(eventId) ?? invokedAtMs)
    this.all.push({ name, taskId, eventId, invokedAtMs: firstAtMs, answeredAtMs: this.#nowMs(), version })
  }
}
