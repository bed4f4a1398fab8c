/** Arms processes, point by point, and puts a new one in the place of each that is hit, until every point has its hits. */
import { Effect } from "effect"
import { draw } from "../chaos/draw.ts"
import type { Hits } from "./hits.ts"
import { Any, Doomed } from "./kinds.ts"
import type { Client } from "./load.ts"
import type { Order } from "./order.ts"
import { type Ended, startProcess, type Surroundings } from "./PointProcess.ts"
import type { Point } from "./points.ts"

/** Lease of all sessions: the default. With a shorter one a busy machine looks to supervisors like an outage, and nothing is repaired. */
export const leaseMs = 5_000
/** Processes that are started and killed at the same time; two of one company. A start costs one second of a processor. */
const crashingMax = 6
const lanesPerCompany = 2
/** Processes that live on after a hit, at the same time: most of the time they are frozen. */
const livingMax = 4
/** A process that has not come to its point by then never will: what it needs is with others. */
const missMs = 60_000
const missesMax = 6
/** Longest hunt. */
const huntMsMax = 900_000
const lookIntervalMs = 200
/** A place is passed so many times at most before the hit, so that hits meet tasks at every age. */
const skipMax = 3

export const hunt = Effect.fnUntraced(function* (options: {
  readonly points: ReadonlyArray<Point>
  readonly hitsWanted: number
  readonly seed: number
  readonly hits: Hits
  readonly client: Client
  readonly outsideUrl: string
  readonly surroundings: Surroundings
  readonly tell: (what: string) => void
}) {
  const { client, hits, hitsWanted, outsideUrl, points, seed, surroundings, tell } = options
  const endedByThemselves: Array<string> = []
  let processesCount = 0
  const start = (order: Order) => {
    processesCount++
    return startProcess(order, surroundings)
  }
  const isHit = ({ name }: Point) => hits.countOf(name) >= hitsWanted

  const orderOf = (armed: ReadonlyArray<Point>, count: number): Order => ({
    role: armed.every(({ role }) => role === "engine") ? "engine" : "worker",
    kinds: kindsOf(armed),
    outsideUrl,
    arming: {
      points: armed.map(({ deed, family, name, place }) => ({
        point: name,
        place,
        deed,
        kind: family === null ? null : `points.${name}`,
        skip: skipOf(place, family, draw(seed, name, processesCount, "skip"))
      })),
      hits: count,
      leaseMs,
      hitsFile: surroundings.hitsFile
    }
  })

  /** Lives on after its hits, and so for all of them; somebody else serves its kind as well. */
  const live = Effect.fnUntraced(function* (point: Point) {
    yield* client.open(point)
    const process = yield* start(orderOf([point], hitsWanted))
    let isToldToStop = false
    yield* Effect.forkScoped(
      Effect.map(process.ended, (ended) => {
        if (!isOver && !isToldToStop) endedByThemselves.push(textOf(point, ended))
      })
    )
    yield* until(() => isHit(point))
    yield* client.close(point)
    tell(`${point.name}: ${hits.countOf(point.name)} hits`)
    // Wrong clocks are the worse the more of them meet.
    if (point.deed === "skew") return [process]
    if (point.deed === "freeze") yield* wakesUp
    isToldToStop = true
    yield* process.stop
    return []
  })

  /** One of the places of a company in which a process dies, at all points that still want hits. */
  const crashes = Effect.fnUntraced(function* (company: ReadonlyArray<Point>, underWay: { count: number }) {
    yield* Effect.forEach(company, client.open, { discard: true })
    const hitsNow = () => company.reduce((sum, { name }) => sum + hits.countOf(name), 0)
    let misses = 0
    while (misses < missesMax) {
      const wanting = company.filter(({ name }) => hits.countOf(name) + underWay.count < hitsWanted)
      if (wanting.length === 0) {
        if (underWay.count === 0 || company.every(isHit)) break
        // Who is under way may miss some of them.
        yield* Effect.sleep(lookIntervalMs)
        continue
      }
      underWay.count++
      const before = hitsNow()
      const ended = yield* Effect.scoped(
        Effect.flatMap(start(orderOf(wanting, 1)), (process) => Effect.timeoutOption(process.ended, missMs))
      )
      underWay.count--
      if (hitsNow() > before) misses = 0
      else misses++
      // One that was to stop in order may have had nothing to give back.
      if (ended._tag === "Some" && ended.value.signal !== "SIGKILL" && wanting[0]?.place !== "released") {
        endedByThemselves.push(textOf(wanting[0] ?? { name: "nobody" }, ended.value))
      }
    }
    if (underWay.count > 0) return
    yield* Effect.forEach(company, client.close, { discard: true })
    for (const { name } of company) tell(`${name}: ${hits.countOf(name)} hits`)
  })

  let isOver = false
  const living = points.filter(({ deed, role }) => deed !== "crash" && role !== "client")
  const crashing = Array.from(
    Map.groupBy(
      points.filter(({ deed }) => deed === "crash"),
      ({ company }) => company
    ).values(),
    (company) => ({ company, underWay: { count: 0 } })
  )
  const lanes = Array.from({ length: lanesPerCompany }, () => crashing).flat()

  /** Nobody hits them: one engine that repairs, one worker that takes over. */
  const bystanders = yield* Effect.forEach(
    [
      { role: "engine", kinds: [] },
      {
        role: "worker",
        kinds: [Any, Doomed]
          .map(({ family, kind }) => ({ name: kind.replace("points.", ""), family }))
          .concat(kindsOf(living))
      }
    ] as const,
    ({ kinds, role }) => start({ role, kinds, outsideUrl, arming: null })
  )
  yield* Effect.forEach(bystanders, ({ ready }) => ready, { discard: true })
  yield* Effect.forEach(
    bystanders,
    ({ ended }) =>
      Effect.forkScoped(
        Effect.map(ended, (how) => {
          if (!isOver) endedByThemselves.push(textOf({ name: "a bystander" }, how))
        })
      ),
    { discard: true }
  )
  tell("the hunt begins")
  const hunted = yield* Effect.all(
    [
      Effect.forEach(living, live, { concurrency: livingMax }),
      Effect.forEach(lanes, ({ company, underWay }) => crashes(company, underWay), {
        concurrency: crashingMax,
        discard: true
      }),
      Effect.forEach(
        points.filter(({ role }) => role === "client"),
        (point) =>
          Effect.andThen(
            client.open(point),
            Effect.andThen(
              until(() => isHit(point)),
              client.close(point)
            )
          ),
        { concurrency: "unbounded", discard: true }
      )
    ],
    { concurrency: "unbounded" }
  ).pipe(Effect.timeoutOption(huntMsMax))
  yield* client.end
  // If the hunt was given up: whoever is frozen.
  if (hunted._tag === "None") yield* wakesUp

  /** Handles what is left of all kinds. */
  const closing = yield* start({
    role: "worker",
    kinds: kindsOf(points),
    outsideUrl,
    arming: null
  })
  yield* closing.ready
  return {
    endedByThemselves,
    isComplete: hunted._tag === "Some" && points.every(isHit),
    processesCount: () => processesCount,
    stop: Effect.gen(function* () {
      isOver = true
      const alive = [...(hunted._tag === "Some" ? hunted.value[0].flat() : []), ...bystanders, closing]
      yield* Effect.forEach(alive, ({ stop }) => stop, { concurrency: "unbounded", discard: true })
    })
  }
})

/** Whoever is frozen does so by itself. */
const wakesUp = Effect.sleep(leaseMs * 1.5)

const kindsOf = (points: ReadonlyArray<Point>): Order["kinds"] =>
  points.flatMap(({ family, name }) => (family === null ? [] : [{ name, family }]))

/** A payload that kills comes through to nobody; an engine has published something before its claims stop. */
const skipOf = (place: Point["place"], family: Point["family"], drawn: number): number =>
  family === "poison" ? 0 : Math.floor(drawn * skipMax) + (place === "claim answered" ? skipMax : 0)

const until = (isSo: () => boolean) =>
  Effect.gen(function* () {
    while (!isSo()) yield* Effect.sleep(lookIntervalMs)
  })

const textOf = ({ name }: { readonly name: string }, { code, signal }: Ended) =>
  `${name} ended with ${code ?? signal}; see members.log`
