/** Writes down what a history asks of its servers, in the order in which they did it. */
import { Effect, Exit } from "effect"
import type { Dispatch } from "../../src/broker/Broker.ts"
import type { KindPolicy } from "../../src/core/KindPolicy.ts"
import type { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import { type RecurrenceStore, recurrencePageMax } from "../../src/store/RecurrenceStore.ts"
import type { StoredStream, TaskStore } from "../../src/store/TaskStore.ts"
import { epochMs, type Kernel } from "../../src/testing/simulation/Kernel.ts"
import type { Recorder, SessionServer } from "../world/Recorder.ts"
import { answerOf, shapes } from "./answers.ts"
import { type Asking, recordedStore } from "./recordedStore.ts"
import type { Call, Servers, Step } from "./Step.ts"

export class Recording implements Recorder {
  readonly steps: Array<Step> = []
  #database: MemoryDatabase | null = null
  #nowMs: () => number = () => 0
  readonly #touched = new Set<string>()

  begins(kernel: Kernel): void {
    this.#nowMs = () => kernel.nowMs
  }

  serves(database: MemoryDatabase): void {
    this.#database = database
    const { streams } = database
    const append = streams.append.bind(streams)
    streams.append = (taskId, body, eventId, atMs) => {
      this.#touched.add(taskId)
      return append(taskId, body, eventId, atMs)
    }
  }

  failsOver(cutAtMs: number, sessionsLeftOutCount: number): void {
    this.steps.push({ _tag: "FailOver", atMs: this.#nowMs(), cutAtMs, sessionsLeftOutCount })
  }

  readonly published = (dispatch: Dispatch): void => {
    this.steps.push({ _tag: "Publish", atMs: this.#nowMs(), dispatch })
  }

  /** As they are when all is over. */
  get ledgers(): ReadonlyArray<unknown> {
    const recurrences = this.#database?.recurrences
    if (recurrences === undefined) return []
    return recurrences
      .list(null, recurrencePageMax)
      .map((recurrence) => ({ recurrence, ledger: recurrences.ledger(recurrence.recurrenceId) }))
  }

  sessions(server: SessionServer): SessionServer {
    const recorded = <A>(asking: Asking, apply: () => A): A => {
      const begun = this.#begin()
      const value = apply()
      this.#end(begun, asking, Exit.succeed(value))
      return value
    }
    const open = (policies: ReadonlyArray<KindPolicy>) =>
      recorded(
        { name: "openSession", asked: policies.map(({ kind }) => kind), again: (on) => on.openSession(policies) },
        () => server.open(policies)
      )
    return {
      open,
      servedBy: server.servedBy,
      renew: (sessionId) =>
        recorded({ name: "renew", asked: sessionId, again: (on) => on.renew(sessionId) }, () =>
          server.renew(sessionId)
        ),
      serve: (sessionId, policies) =>
        recorded(
          {
            name: "serve",
            asked: { sessionId, kinds: policies.map(({ kind }) => kind) },
            again: (on) => on.serve(sessionId, policies)
          },
          () => server.serve(sessionId, policies)
        )
    }
  }

  recurrences(store: RecurrenceStore["Service"]): RecurrenceStore["Service"] {
    const on = (again: (recurrences: RecurrenceStore["Service"]) => Effect.Effect<unknown, unknown>) => (to: Servers) =>
      again(to.recurrences)
    return {
      ...store,
      create: (name, definition) =>
        this.#recorded(
          { name: "createRecurrence", asked: { name, definition }, again: on((to) => to.create(name, definition)) },
          store.create(name, definition)
        ),
      revise: (name, change, repeatOf) =>
        this.#recorded(
          {
            name: "reviseRecurrence",
            asked: { name, change, repeatOf },
            again: on((to) => to.revise(name, change, repeatOf))
          },
          store.revise(name, change, repeatOf)
        ),
      settle: (limit) =>
        this.#recorded(
          { name: "settle", asked: limit, shape: shapes.settled, again: on((to) => to.settle(limit)) },
          store.settle(limit)
        ),
      find: (name) =>
        this.#recorded({ name: "findRecurrence", asked: name, again: on((to) => to.find(name)) }, store.find(name))
    }
  }

  store(store: TaskStore["Service"]): TaskStore["Service"] {
    const isAlive = (sessionId: number) => this.#database?.sessions.isAlive(sessionId, this.#database.now()) === true
    return recordedStore(store, { isAlive, recorded: this.#recorded, done: this.#done })
  }

  readonly #done = (asking: Asking, answer: unknown): void => this.#end(this.#begin(), asking, Exit.succeed(answer))

  readonly #recorded = <A, E, R>(asking: Asking, apply: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const begun = this.#begin()
      return Effect.flatMap(Effect.exit(apply), (exit) => {
        this.#end(begun, asking, exit)
        return exit
      })
    })

  #begin() {
    this.#touched.clear()
    return { atMs: this.#nowMs(), databaseMs: this.#database?.now() ?? epochMs }
  }

  #end(
    begun: Pick<Call, "atMs" | "databaseMs">,
    { again, asked, claims = [], name, shape = shapes.same }: Asking,
    exit: Exit.Exit<unknown, unknown>
  ): void {
    const answer = answerOf(exit, shape)
    // It has not come to the database.
    if (answer._tag === "Failure" && answer.error === "StoreUnavailable" && name !== "finishWith") return
    this.steps.push({
      _tag: "Call",
      name,
      ...begun,
      asked,
      again,
      claims,
      shape,
      answer,
      touched: this.#touchedStreams()
    })
  }

  #touchedStreams(): ReadonlyArray<StoredStream> {
    if (this.#touched.size === 0 || this.#database === null) return []
    const streams = this.#database.streams.page(null, Number.MAX_SAFE_INTEGER)
    return streams.filter(({ taskId }) => this.#touched.has(taskId))
  }
}
