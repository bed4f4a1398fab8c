/** How much a run of half an hour has to go through at least, and how much one did. Shorter ones are asked for their share. */
import type { Injected } from "./inject.ts"

export type Count = {
  readonly what: string
  readonly askedPer30Minutes: number
  readonly asked: number
  readonly done: number
}

type Asked = {
  readonly what: string
  readonly per30Minutes: number
  readonly of: (injected: ReadonlyArray<Injected>) => number
}

/** Sums the times of those whose name says so. */
const times =
  (isMeant: (what: string) => boolean): Asked["of"] =>
  (injected) =>
    injected.reduce((sum, fault) => (isMeant(fault.what) ? sum + fault.times : sum), 0)

const sigkills =
  (isMeant: (what: string) => boolean): Asked["of"] =>
  (injected) =>
    injected.reduce((sum, { killed, what }) => (isMeant(what) ? sum + killed.length : sum), 0)

export const asked: ReadonlyArray<Asked> = [
  { what: "SIGKILLs", per30Minutes: 300, of: sigkills(() => true) },
  { what: "SIGKILLs of engines", per30Minutes: 150, of: sigkills((what) => what.startsWith("engine")) },
  { what: "SIGSTOPs beyond the lease", per30Minutes: 50, of: times((what) => what.includes("frozen")) },
  { what: "PostgreSQL crash restarts", per30Minutes: 20, of: times((what) => what === "PostgreSQL crashed") },
  { what: "terminated backends", per30Minutes: 500, of: times((what) => what === "backends terminated") },
  { what: "Kafka kills", per30Minutes: 10, of: times((what) => what === "Kafka killed") },
  { what: "Kafka wipes", per30Minutes: 3, of: times((what) => what === "Kafka wiped") }
]

const tasksPer30Minutes = 300_000

export const countsOf = (
  minutes: number,
  injected: ReadonlyArray<Injected>,
  tasksCount: number
): ReadonlyArray<Count> => {
  const count = (what: string, askedPer30Minutes: number, done: number): Count => ({
    what,
    askedPer30Minutes,
    asked: Math.ceil((askedPer30Minutes * minutes) / 30),
    done
  })
  return [
    ...asked.map(({ of, per30Minutes, what }) => count(what, per30Minutes, of(injected))),
    count("tasks", tasksPer30Minutes, tasksCount)
  ]
}
