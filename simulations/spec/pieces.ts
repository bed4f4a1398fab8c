/**
 * What of an operation is decided at one instant. The port promises no more than that each task is moved by its own append; an
 * operation on several tasks is as many pieces, in any order with those of others.
 */
import type { Operation } from "./Operation.ts"
import { claimOf } from "./specAnswers.ts"
import type { SpecDatabase } from "./SpecDatabase.ts"
import { endSessions, interrupt } from "./specSweeps.ts"
import type { Name } from "./facts.ts"

/** Applied to the spec: what has to be answered then. */
export type Piece = { readonly answer: unknown; readonly apply: (spec: SpecDatabase) => unknown }

/** @param answer of the real store, in the spec's words */
export const piecesOf = (operation: Operation, answer: unknown): ReadonlyArray<Piece> => {
  const answers = Array.isArray(answer) ? answer : []
  switch (operation.tag) {
    case "Start":
    case "Unclaim":
    case "Finish":
      if (answers.length !== operation.items.length) return [whole(operation, answer)]
      return operation.items.map((_, index) => {
        const one = onlyItem(operation, index)
        return { answer: [answers[index]], apply: (spec) => spec.apply(one) }
      })
    case "Claim": {
      const tasks = isRecord(answer) && Array.isArray(answer["tasks"]) ? answer["tasks"] : null
      if (tasks === null) return [whole(operation, answer)]
      return tasks.map((task: unknown) => ({
        answer: task,
        apply: (spec) => {
          const name = nameIn(task)
          const isAsked = spec.streams.has(name) && isClaimable(spec, operation, name)
          return isAsked && spec.move(name, { tag: "Claim", session: operation.session }, null)
            ? claimOf(spec, name)
            : "no claim"
        }
      }))
    }
    case "StartDue": {
      const kinds = operation.kinds.map(({ kind }) => kind)
      const { requests, session } = operation
      return answers.map((started: unknown) => ({
        answer: started,
        apply: (spec) => {
          const name = nameIn(started)
          const isAsked =
            spec.streams.has(name) && isClaimable(spec, { session, kinds, priorities: null, lookAheadMs: 0 }, name)
          if (!isAsked || !spec.move(name, { tag: "Claim", session }, null)) return "no start"
          const request = requests[answers.indexOf(started)] ?? 0
          const timeoutMs = operation.kinds.find(({ kind }) => kind === spec.task(name).kind)?.timeoutMs ?? 0
          const item = { task: name, fence: spec.task(name).fence ?? 0, request, timeoutMs, dispatchedAtMs: null }
          const [answered] = listOf(spec.apply({ tag: "Start", session, items: [item] }))
          return answered
        }
      }))
    }
    case "Expire":
      if (!Array.isArray(answer)) return [whole(operation, answer)]
      return [
        { answer: null, apply: endSessions },
        ...answers.map((expired: unknown) => ({
          answer: expired,
          apply: (spec: SpecDatabase) => (spec.streams.has(nameIn(expired)) ? interrupt(spec, nameIn(expired)) : null)
        }))
      ]
    case "ExpireTasks":
      if (!Array.isArray(answer)) return [whole(operation, answer)]
      return answers.map((name: unknown) => ({
        answer: true,
        apply: (spec) => typeof name === "string" && spec.move(name, { tag: "TooLate" }, null)
      }))
    default:
      return [whole(operation, answer)]
  }
}

const whole = (operation: Operation, answer: unknown): Piece => ({ answer, apply: (spec) => spec.apply(operation) })

type Several = Extract<Operation, { readonly tag: "Start" | "Unclaim" | "Finish" }>

const onlyItem = (operation: Several, index: number): Operation => {
  switch (operation.tag) {
    case "Start":
      return { ...operation, items: operation.items.slice(index, index + 1) }
    case "Unclaim":
      return { ...operation, items: operation.items.slice(index, index + 1) }
    case "Finish":
      return { ...operation, items: operation.items.slice(index, index + 1) }
  }
}

/** With what becomes due within the millisecond of the horizon, which is open: `openAnswers.ts` sees of it what was there before. */
export const isClaimable = (
  spec: SpecDatabase,
  request: Pick<Extract<Operation, { readonly tag: "Claim" }>, "session" | "kinds" | "priorities" | "lookAheadMs">,
  name: Name
): boolean => {
  const { dueAtMs, kind, priority, stage } = spec.task(name)
  return (
    stage === "pending" &&
    spec.isAlive(request.session) &&
    request.kinds.includes(kind) &&
    (request.priorities?.includes(priority) ?? true) &&
    !spec.isPaused(kind) &&
    dueAtMs <= Math.ceil(spec.nowMs + request.lookAheadMs)
  )
}

/** Tasks that an operation may move, as far as its words say; null: any. */
export const touchedBy = (operation: Operation): ReadonlyArray<Name> | null => {
  switch (operation.tag) {
    case "Start":
    case "Unclaim":
    case "Finish":
      return operation.items.map(({ task }) => task)
    case "Schedule":
      return operation.tasks.map(({ name }) => name)
    case "FinishWith":
      return [operation.task, ...operation.tasks.map(({ name }) => name)]
    case "Act":
    case "Reconcile":
      return [operation.task]
    default:
      return null
  }
}

/**
 * A claim passes over rows that others have locked, and whoever sweeps may leave what others move to the next time; but not what
 * nobody else touches. What it should have taken and has not; null: nothing.
 */
export const leftOut = (
  before: SpecDatabase,
  operations: ReadonlyArray<Operation>,
  index: number,
  answer: unknown
): string | null => {
  const operation = operations[index]
  const others = operations.filter((_, other) => other !== index).map(touchedBy)
  if (operation === undefined || others.includes(null)) return null
  const touched = new Set(others.flatMap((names) => names ?? []))
  const alone = before.names().filter((name) => !touched.has(name))
  const taken = new Set(
    listOf(isRecord(answer) ? answer["tasks"] : answer).map((one) => (typeof one === "string" ? one : nameIn(one)))
  )
  const wanted = (names: ReadonlyArray<Name>) => names.find((name) => !taken.has(name)) ?? null
  switch (operation.tag) {
    case "Claim":
      if (operation.concurrencyMax !== null || taken.size >= operation.limit) return null
      return wanted(alone.filter((name) => isClaimable(before, operation, name)))
    case "Expire":
    case "ExpireTasks": {
      const then = before.clone()
      then.apply(operation)
      return wanted(alone.filter((name) => then.task(name).version > before.task(name).version))
    }
    default:
      return null
  }
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
const listOf = (value: unknown): ReadonlyArray<unknown> => (Array.isArray(value) ? value : [])
const nameIn = (value: unknown): Name => (isRecord(value) ? String(value["task"]) : "")
