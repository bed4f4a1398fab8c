/** The port of the tasks, call by call: what was asked, and how to ask it again of another store. */
import { Effect } from "effect"
import type { DeadLetter } from "../../src/core/DeadLetter.ts"
import { Ids } from "../../src/store/Ids.ts"
import { CurrentTransaction } from "../../src/store/memory/MemoryTransaction.ts"
import { dueSinceMsMax } from "../../src/store/postgres/startDue.ts"
import type { FinishRequest, NewTask, Started, StartDueRequest, TaskStore } from "../../src/store/TaskStore.ts"
import { type Shape, shapes } from "./answers.ts"
import type { As, Call, Servers } from "./Step.ts"

export type Asking = Pick<Call, "name" | "again"> & {
  readonly asked?: unknown
  readonly shape?: Shape
  readonly claims?: Call["claims"]
}

export type Writer = {
  /** By the database's clock, now. */
  readonly isAlive: (sessionId: number) => boolean
  readonly recorded: <A, E, R>(asking: Asking, apply: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Of what has just been done. */
  readonly done: (asking: Asking, answer: unknown) => void
}

/** The store as the database does it, with each call written down. */
export const recordedStore = (store: TaskStore["Service"], record: Writer): TaskStore["Service"] => ({
  ...store,
  schedule: (batch) =>
    Effect.flatMap(CurrentTransaction, (transaction) =>
      // What is scheduled in a transaction is done when that commits.
      transaction !== null
        ? store.schedule(batch)
        : record.recorded(
            { name: "schedule", asked: batch, again: (to, as) => to.store.schedule(as(batch)) },
            store.schedule(batch)
          )
    ),
  claim: (request) =>
    Effect.suspend(() => {
      const shape = record.isAlive(request.sessionId) ? shapes.claim : shapes.claimOfTheDead
      return record.recorded(
        { name: "claim", asked: request, shape, again: (to, as) => to.store.claim(as(request)) },
        store.claim(request)
      )
    }),
  claimedBy: (sessionId, dueBeforeMs, limit) =>
    record.recorded(
      {
        name: "claimedBy",
        asked: { sessionId, dueBeforeMs, limit },
        shape: shapes.byTask,
        again: (to) => to.store.claimedBy(sessionId, dueBeforeMs, limit)
      },
      store.claimedBy(sessionId, dueBeforeMs, limit)
    ),
  pull: (request) =>
    record.recorded(
      { name: "pull", asked: request, shape: shapes.byTask, again: (to) => to.store.pull(request) },
      store.pull(request)
    ),
  release: (batch) =>
    record.recorded(
      { name: "release", asked: batch, again: (to, as) => to.store.release(as(batch)) },
      store.release(batch)
    ),
  start: (sessionId, batch) =>
    record.recorded(
      {
        name: "start",
        asked: { sessionId, batch },
        claims: batch.map(({ fence }) => fence.eventId),
        again: (to, as) => to.store.start(sessionId, as(batch))
      },
      store.start(sessionId, batch)
    ),
  startDue: (request) =>
    record.recorded(
      {
        name: "startDue",
        asked: request,
        again: (to, as, recorded) => startedDue(to.store, as(request), recorded)
      },
      store.startDue(request)
    ),
  startedWith: (eventIds) =>
    record.recorded(
      {
        name: "startedWith",
        asked: eventIds,
        shape: shapes.byTask,
        again: (to, as) => to.store.startedWith(as(eventIds))
      },
      store.startedWith(eventIds)
    ),
  finish: (batch) =>
    record.recorded(
      { name: "finish", asked: batch, again: (to, as) => to.store.finish(as(batch)) },
      store.finish(batch)
    ),
  finishWith: (effect, requestOf) => finishedWith(store, record, effect, requestOf),
  look: record.recorded({ name: "look", shape: shapes.look, again: (to) => to.store.look }, store.look),
  expire: (limit, asOfMs) =>
    record.recorded(
      {
        name: "expire",
        asked: { limit, asOfMs },
        shape: shapes.byTask,
        again: (to, as, { touched }) => to.store.expire(limit, asOfMs).pipe(withIdsOf(touched, as))
      },
      store.expire(limit, asOfMs)
    ),
  expireTasks: (limit) =>
    record.recorded(
      {
        name: "expireTasks",
        asked: limit,
        shape: shapes.expiredTasks,
        again: (to, as, { touched }) => to.store.expireTasks(limit).pipe(withIdsOf(touched, as))
      },
      store.expireTasks(limit)
    ),
  takeParked: (request) =>
    record.recorded(
      { name: "takeParked", asked: request, shape: shapes.byTask, again: (to) => to.store.takeParked(request) },
      store.takeParked(request)
    ),
  reconcile: (request) =>
    record.recorded(
      { name: "reconcile", asked: request, again: (to, as) => to.store.reconcile(as(request)) },
      store.reconcile(request)
    ),
  act: (taskId, eventId, wish) =>
    record.recorded(
      {
        name: "act",
        asked: { taskId, eventId, wish },
        again: (to, as) => to.store.act(as(taskId), as(eventId), wish)
      },
      store.act(taskId, eventId, wish)
    ),
  pause: (target, isPaused) =>
    record.recorded(
      { name: "pause", asked: { target, isPaused }, again: (to) => to.store.pause(target, isPaused) },
      store.pause(target, isPaused)
    ),
  relayDead: (limit, announce) => relayedDead(store, record, limit, announce),
  history: (taskId) =>
    record.recorded(
      { name: "history", asked: taskId, again: (to, as) => to.store.history(as(taskId)) },
      store.history(taskId)
    ),
  ends: (taskIds) =>
    record.recorded(
      { name: "ends", asked: taskIds, shape: shapes.byTask, again: (to, as) => to.store.ends(as(taskIds)) },
      store.ends(taskIds)
    ),
  find: (filter) =>
    record.recorded({ name: "find", asked: filter, again: (to, as) => to.store.find(as(filter)) }, store.find(filter)),
  kinds: record.recorded({ name: "kinds", shape: shapes.kinds, again: (to) => to.store.kinds }, store.kinds),
  backlog: record.recorded({ name: "backlog", shape: shapes.backlog, again: (to) => to.store.backlog }, store.backlog)
})

/** Its tasks are known when the body has run, its request after that. */
const finishedWith = <A, E, R>(
  store: TaskStore["Service"],
  record: Writer,
  effect: Effect.Effect<A, E, R>,
  requestOf: (value: A) => FinishRequest
) => {
  let tasks: ReadonlyArray<NewTask> = []
  let request: FinishRequest | null = null
  const body = Effect.flatMap(CurrentTransaction, (transaction) =>
    Effect.map(effect, (value) => {
      tasks = [...(transaction?.tasks ?? [])]
      return value
    })
  )
  const whole = store.finishWith(body, (value) => (request = requestOf(value)))
  return record.recorded(
    {
      name: "finishWith",
      get asked() {
        return { request, tasks }
      },
      shape: () => "committed",
      again: ({ store: on }, as) => {
        const asked = request
        if (asked === null) return Effect.die(new Error("a transaction was recorded without its outcome"))
        const scheduled = tasks.length === 0 ? Effect.void : on.schedule(as(tasks))
        return on.finishWith(Effect.asVoid(scheduled), () => as(asked))
      }
    },
    whole
  )
}

/** The letters are read, told and marked one after the other; here it is one step, at the instant at which they are marked. */
const relayedDead = <E, R>(
  store: TaskStore["Service"],
  record: Writer,
  limit: number,
  announce: (letters: ReadonlyArray<DeadLetter>) => Effect.Effect<void, E, R>
) => {
  return Effect.suspend(() => {
    let told: ReadonlyArray<DeadLetter> = []
    const relayed = store.relayDead(limit, (letters) => {
      told = letters
      return announce(letters)
    })
    return Effect.map(relayed, (count) => {
      if (count === 0) return count
      const again = ({ store: on }: Servers) => {
        let heard: ReadonlyArray<DeadLetter> = []
        const hear = (letters: ReadonlyArray<DeadLetter>) => Effect.sync(() => void (heard = letters))
        return Effect.map(on.relayDead(count, hear), () => heard)
      }
      record.done({ name: "relayDead", asked: limit, shape: shapes.byTask, again }, told)
      return count
    })
  })
}

/**
 * A direct start may leave out anything, and PostgreSQL leaves out what has waited for longer than a second: a claim finds it. So where
 * the simulation has started that, too, the same tasks are claimed and started here.
 */
const startedDue = (store: TaskStore["Service"], request: StartDueRequest, { answer, databaseMs }: Call) => {
  const started = answer._tag === "Success" ? (answer.value as ReadonlyArray<Started>) : []
  if (started.every(({ dueAtMs }) => dueAtMs > databaseMs - dueSinceMsMax)) return store.startDue(request)
  const { eventIds, kinds, sessionId } = request
  const asked = { sessionId, kinds: kinds.map(({ kind }) => kind), lookAheadMs: 0, limit: started.length }
  return Effect.flatMap(store.claim(asked), ({ tasks }) =>
    store.start(
      sessionId,
      tasks.map(({ fence, kind, taskId }, index) => ({
        taskId,
        fence,
        eventId: eventIds[index] ?? "",
        timeoutMs: kinds.find((served) => served.kind === kind)?.timeoutMs ?? 0,
        dispatchedAtMs: null
      }))
    )
  )
}

/** A sweep names its events itself, the lowest task first, and a retry's jitter is made of that name. */
const withIdsOf = (touched: Call["touched"], as: As) => {
  const ended = touched.filter(({ events }) => events.length > 1)
  const inOrder = ended.toSorted((one, other) => (as(one.taskId) < as(other.taskId) ? -1 : 1))
  const ids = inOrder.map(({ events }) => events.at(-1)?.eventId ?? "")
  return <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.flatMap(Ids, (own) =>
      Effect.provideService(effect, Ids, { ...own, eventId: () => ids.shift() ?? own.eventId() })
    )
}
