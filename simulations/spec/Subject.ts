/** A store under test in a world of which a sequence decides everything: its clock, its sessions and what is in it. */
import { Effect } from "effect"
import type { StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import { ask, type Answer } from "./ask.ts"
import { Names } from "./Names.ts"
import { noLimit, type Operation } from "./Operation.ts"

export type Subject = {
  readonly name: string
  /** Nothing is in it, the clock stands there, and sessions with these leases are open. */
  readonly begin: (nowMs: number, leasesMs: ReadonlyArray<number>) => Effect.Effect<ReadonlyArray<number>>
  readonly setNow: (nowMs: number) => Effect.Effect<void>
  readonly kill: (sessionId: number, nowMs: number) => Effect.Effect<void>
  readonly leave: (sessionId: number) => Effect.Effect<void>
  readonly streams: Effect.Effect<ReadonlyArray<StoredStream>>
  /** One, or as many as can be asked at the same time. */
  readonly stores: ReadonlyArray<TaskStore["Service"]>
}

/** A subject in the middle of a sequence. */
export class Run {
  readonly names: Names
  readonly #subject: Subject
  #nowMs: number

  private constructor(subject: Subject, names: Names, nowMs: number) {
    this.#subject = subject
    this.names = names
    this.#nowMs = nowMs
  }

  static readonly begin = (subject: Subject, nowMs: number, leasesMs: ReadonlyArray<number>): Effect.Effect<Run> =>
    Effect.map(subject.begin(nowMs, leasesMs), (sessionIds) => new Run(subject, new Names(sessionIds), nowMs))

  get name(): string {
    return this.#subject.name
  }

  /** @param on which of its stores is asked */
  perform(operation: Operation, on = 0): Effect.Effect<Answer> {
    switch (operation.tag) {
      case "Tick":
        this.#nowMs += operation.ms
        return Effect.as(this.#subject.setNow(this.#nowMs), () => null)
      case "Kill":
        return Effect.as(this.#subject.kill(this.names.sessionId(operation.session), this.#nowMs), () => null)
      case "Leave":
        return Effect.as(this.#subject.leave(this.names.sessionId(operation.session)), () => null)
      default: {
        const store = this.#subject.stores[on]
        return store === undefined
          ? Effect.die(new Error(`${this.#subject.name} has no store ${on}`))
          : Effect.suspend(() => ask(store, this.names, operation))
      }
    }
  }

  /** All its streams and rows, in the spec's words. */
  get look(): Effect.Effect<ReadonlyArray<unknown>> {
    return Effect.map(this.#subject.streams, (streams) => {
      this.names.learn(streams)
      return streams
        .map((stream) => ({ name: this.names.nameOf(stream.taskId), stream: this.names.stream(stream) }))
        .toSorted((one, other) => (one.name < other.name ? -1 : 1))
        .map(({ stream }) => stream)
    })
  }
}

export const streamsOf = (store: TaskStore["Service"]): Effect.Effect<ReadonlyArray<StoredStream>> =>
  Effect.orDie(store.streams(null, noLimit))
