/** Asks a store what an operation says, and puts its answer into the spec's words. */
import { Cause, Effect } from "effect"
import type { DeadLetter } from "../../src/core/DeadLetter.ts"
import type {
  Finished,
  NewTask,
  Scheduled,
  Started,
  StartRequest,
  TaskStore,
  TooEarly
} from "../../src/store/TaskStore.ts"
import { eventIdOf, type Names } from "./Names.ts"
import { type NewOne, noLimit, type Operation } from "./Operation.ts"
import { policyOf } from "./rules.ts"

/** What the answer means can be said when the store has been looked at again: a fence is named by its place in the history. */
export type Answer = () => unknown

/** Operations of the port; the world around it (time, sessions that end) is not asked but made. */
export type Asked = Exclude<Operation, { readonly tag: "Tick" | "Kill" | "Leave" }>

/** Never fails: an error is an answer, too, and so is a defect. */
export const ask = (store: TaskStore["Service"], names: Names, operation: Asked): Effect.Effect<Answer> =>
  answerOf(store, names, operation).pipe(
    Effect.catchCause((cause) => {
      const error: unknown = Cause.squash(cause)
      const tag = typeof error === "object" && error !== null && "_tag" in error ? error._tag : "Defect"
      const known = tag === "TaskNotFound" || tag === "LeaseLost"
      return Effect.succeed(() =>
        known ? { tag } : { tag, text: Cause.pretty(cause).split("\n").slice(0, 4).join(" ") }
      )
    })
  )

const answerOf = (store: TaskStore["Service"], names: Names, operation: Asked): Effect.Effect<Answer, unknown> => {
  switch (operation.tag) {
    case "Schedule":
      return Effect.map(
        store.schedule(operation.tasks.map((task) => newTask(names, task))),
        (answers) => () => answers.map((answer) => scheduled(names, answer))
      )
    case "Claim": {
      const { concurrencyMax, kinds, limit, lookAheadMs, session } = operation
      const priorities = operation.priorities ?? undefined
      const caps = concurrencyMax === null ? undefined : { concurrencyMax, startsPerSecondMax: null }
      const request = { sessionId: names.sessionId(session), kinds, lookAheadMs, limit, priorities, caps }
      return Effect.map(store.claim(request), ({ cappedForMs, nextDueAtMs, tasks }) => () => ({
        tasks: tasks.map((task) => names.claimed(task)),
        nextDueAtMs,
        isCapped: cappedForMs !== null
      }))
    }
    case "ClaimedBy":
      return Effect.map(
        store.claimedBy(names.sessionId(operation.session), operation.dueBeforeMs, noLimit),
        (tasks) => () => sorted(tasks.map((task) => names.claimed(task)))
      )
    case "Pull":
      return Effect.map(store.pull(operation), (tasks) => () => sorted(tasks.map((task) => names.claimed(task))))
    default:
      return isAboutAttempts(operation) ? attemptOf(store, names, operation) : restOf(store, names, operation)
  }
}

type AttemptTag = "Unclaim" | "Start" | "StartDue" | "StartedWith" | "Finish" | "FinishWith"
type AboutAttempts = Extract<Asked, { readonly tag: AttemptTag }>

const attemptTags = new Set<Asked["tag"]>(["Unclaim", "Start", "StartDue", "StartedWith", "Finish", "FinishWith"])
const isAboutAttempts = (operation: Asked): operation is AboutAttempts => attemptTags.has(operation.tag)

const attemptOf = (
  store: TaskStore["Service"],
  names: Names,
  operation: AboutAttempts
): Effect.Effect<Answer, unknown> => {
  switch (operation.tag) {
    case "Unclaim": {
      const { reason } = operation
      const batch = operation.items.map(({ fence, request, task }) => ({
        taskId: names.idOf(task),
        fence: names.fenceOf(task, fence),
        eventId: eventIdOf(request),
        reason
      }))
      return Effect.map(store.release(batch), (answers) => () => answers)
    }
    case "Start": {
      const batch = operation.items.map(({ fence, request, task, ...rest }): StartRequest => ({
        taskId: names.idOf(task),
        fence: names.fenceOf(task, fence),
        eventId: eventIdOf(request),
        ...rest
      }))
      return Effect.map(store.start(names.sessionId(operation.session), batch), (answers) => {
        for (const answer of answers) if (answer._tag === "Started") names.keep(answer)
        return () => answers.map((answer) => started(names, answer))
      })
    }
    case "StartDue": {
      const { kinds, requests, session } = operation
      const request = { sessionId: names.sessionId(session), kinds, eventIds: requests.map(eventIdOf) }
      return Effect.map(store.startDue(request), (answers) => () => {
        // Names of what follows an end are known by now.
        for (const answer of answers) names.keep(answer)
        return answers.map((answer) => started(names, answer))
      })
    }
    case "StartedWith":
      return Effect.map(
        store.startedWith(operation.requests.map(eventIdOf)),
        (answers) => () => sorted(answers.map((answer) => names.started(answer)))
      )
    case "Finish": {
      const batch = operation.items.map(({ fence, outcome, request, task }) => {
        const start = names.startedOf(task, fence)
        return { started: start, eventId: eventIdOf(request), outcome, policy: policyOf(start.kind) }
      })
      return Effect.map(store.finish(batch), (answers) => () => answers.map(finished))
    }
    case "FinishWith": {
      const { fence, outcome, request, task, tasks } = operation
      const start = names.startedOf(task, fence)
      const finish = { started: start, eventId: eventIdOf(request), outcome, policy: policyOf(start.kind) }
      const body = store.schedule(tasks.map((one) => newTask(names, one)))
      return Effect.map(
        store.finishWith(body, () => finish),
        (answers) => () => ({ tag: "Committed", scheduled: answers.map((answer) => scheduled(names, answer)) })
      )
    }
  }
}

const restOf = (
  store: TaskStore["Service"],
  names: Names,
  operation: Exclude<Asked, AboutAttempts | { readonly tag: "Schedule" | "Claim" | "ClaimedBy" | "Pull" }>
): Effect.Effect<Answer, unknown> => {
  switch (operation.tag) {
    case "AnyExpired":
      return Effect.map(
        store.look,
        ({ anyExpired }) =>
          () =>
            anyExpired
      )
    case "Expire":
      return Effect.map(
        store.expire(noLimit),
        (answers) => () => sorted(answers.map(({ taskId, ...rest }) => ({ task: names.nameOf(taskId), ...rest })))
      )
    case "ExpireTasks":
      return Effect.map(
        store.expireTasks(noLimit),
        ({ taskIds }) =>
          () =>
            taskIds.map((taskId) => names.nameOf(taskId)).toSorted()
      )
    case "TakeParked":
      return Effect.map(
        store.takeParked(operation),
        (answers) => () => sorted(answers.map((answer) => names.parked(answer)))
      )
    case "Reconcile": {
      const { answer, fence, request, task } = operation
      const taskId = names.idOf(task)
      const kind = names.kindOf(task)
      const asked = {
        taskId,
        fence: names.fenceOf(task, fence),
        eventId: eventIdOf(request),
        answer,
        policy: policyOf(kind)
      }
      return Effect.map(store.reconcile(asked), (answered) => () => finished(answered))
    }
    case "Act":
      return Effect.map(
        store.act(names.idOf(operation.task), eventIdOf(operation.request), operation.wish),
        ({ _tag, state, ...rest }) =>
          () => ({ tag: _tag, state: names.state(state), ...rest })
      )
    case "Pause":
      return Effect.as(store.pause(operation.target, operation.isPaused), () => null)
    case "RelayDead":
      return relayDead(store, names, operation.isHeard)
    case "Ends":
      return Effect.map(store.ends(operation.tasks.map((task) => names.idOf(task))), (answers) => () => {
        const byName = new Map(
          answers.map(({ end, taskId }) => [names.nameOf(taskId), end === null ? null : names.fact(end)])
        )
        return operation.tasks.map((task) => ({ task, end: byName.get(task) }))
      })
  }
}

const relayDead = (store: TaskStore["Service"], names: Names, isHeard: boolean): Effect.Effect<Answer, unknown> =>
  Effect.suspend(() => {
    let heard: ReadonlyArray<DeadLetter> = []
    const announce = (letters: ReadonlyArray<DeadLetter>) =>
      Effect.suspend(() => {
        heard = letters
        return isHeard ? Effect.void : Effect.fail("unheard" as const)
      })
    return store.relayDead(noLimit, announce).pipe(
      Effect.catchIf(
        (error) => error === "unheard",
        () => Effect.succeed("unheard" as const)
      ),
      Effect.map((count) => () => ({
        letters: sorted(heard.map(({ taskId, ...rest }) => ({ task: names.nameOf(taskId), ...rest }))),
        count
      }))
    )
  })

const newTask = (names: Names, { expiresAtMs, id, keyKeptMs, name, request, ...rest }: NewOne): NewTask => {
  names.add(name, id)
  return { ...rest, taskId: id, eventId: eventIdOf(request), expiresAtMs, keyKeptMs }
}

const scheduled = (names: Names, { _tag, taskId }: Scheduled) => ({ tag: _tag, task: names.nameOf(taskId) })

const started = (names: Names, answer: Started | TooEarly | { readonly _tag: "Lost" }) => {
  switch (answer._tag) {
    case "Started":
      return names.started(answer)
    case "TooEarly":
      return { tag: answer._tag, dueInMs: answer.dueInMs }
    case "Lost":
      return { tag: answer._tag }
  }
}

const finished = ({ _tag, ...rest }: Finished) => ({ tag: _tag, ...rest })

const sorted = <A extends { readonly task: string }>(answers: ReadonlyArray<A>): ReadonlyArray<A> =>
  answers.toSorted((one, other) => (one.task < other.task ? -1 : 1))
