/** Where the port leaves open what happens: there the stores may differ, so nothing is asked there. */
import type { Operation } from "./Operation.ts"
import type { SpecDatabase } from "./SpecDatabase.ts"
import type { Name } from "./facts.ts"

const dayMs = 86_400_000

export const isOpen = (spec: SpecDatabase, operation: Operation): boolean => {
  switch (operation.tag) {
    case "Claim": {
      // The look-ahead is to the millisecond: what is due within the fraction may be claimed, or not.
      const horizonMs = spec.nowMs + (operation.concurrencyMax === null ? operation.lookAheadMs : 0)
      const due = waiting(spec, operation.kinds).filter((name) => spec.task(name).dueAtMs <= Math.ceil(horizonMs))
      return due.some((name) => spec.task(name).dueAtMs > horizonMs) || hasTie(spec, due)
    }
    case "Pull": {
      const names = spec.names().filter((name) => spec.task(name).stage === "claimed")
      return operation.limit < names.length && hasTie(spec, names)
    }
    case "StartDue": {
      // It may leave out anything. Where nothing speaks against starting it all, it has to start it all.
      const kinds = operation.kinds.map(({ kind }) => kind)
      const due = waiting(spec, kinds).filter((name) => spec.task(name).dueAtMs <= Math.ceil(spec.nowMs) + slackMs)
      return due.some((name) => !isFit(spec, name)) || hasTie(spec, due)
    }
    case "StartedWith":
      // Asked about starts of what is born today; of others it may know, or not.
      return spec
        .names()
        .some((name) => spec.task(name).stage === "running" && bornOn(spec, name) !== dayOf(spec.nowMs))
    default:
      return false
  }
}

/** Ms that a store's estimate of the database's clock may be ahead. */
const slackMs = 5
/** What waits longer is left to claims. */
const dueSinceMsMax = 1_000

const isFit = (spec: SpecDatabase, name: Name): boolean => {
  const { deaths, dueAtMs, expiresAtMs } = spec.task(name)
  return (
    deaths < 2 &&
    dueAtMs <= spec.nowMs &&
    dueAtMs >= spec.nowMs - dueSinceMsMax &&
    (expiresAtMs === null || expiresAtMs > spec.nowMs) &&
    // A task of another day; of one that follows an end nobody here knows the id.
    bornOn(spec, name) === dayOf(spec.nowMs)
  )
}

const dayOf = (atMs: number): number => Math.floor(atMs / dayMs)

const bornOn = (spec: SpecDatabase, name: Name): number =>
  dayOf(Number.parseInt((spec.streams.get(name)?.id ?? "").replaceAll("-", "").slice(0, 12), 16))

const waiting = (spec: SpecDatabase, kinds: ReadonlyArray<string>): ReadonlyArray<Name> =>
  spec.names().filter((name) => spec.task(name).stage === "pending" && kinds.includes(spec.task(name).kind))

/** Equally urgent and old, and by an id that each store draws for itself: which one comes first is chance. */
const hasTie = (spec: SpecDatabase, names: ReadonlyArray<Name>): boolean =>
  names.some(
    (one) =>
      spec.streams.get(one)?.id === null &&
      names.some((other) => {
        const [left, right] = [spec.task(one), spec.task(other)]
        return one !== other && left.priority === right.priority && left.dueAtMs === right.dueAtMs
      })
  )
