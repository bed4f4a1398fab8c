/**
 * A primary with an asynchronous standby: at a failover the last commits are gone, and all processes go on with what is left
 * (window 17), or with what a backup had (18). Every change is written down with its instant and the ids it drew, and the standby
 * is a second database that has done the first of them: no code of the memory database knows of it.
 */
import type { Clock } from "effect"
import type { TaskEvent } from "../../src/core/TaskEvent.ts"
import { MemoryDatabase } from "../../src/store/memory/MemoryDatabase.ts"
import { leaseMsDefault } from "../../src/store/Session.ts"
import type { Kernel } from "../../src/testing/simulation/Kernel.ts"

/** What a failover has taken. */
export type Lost = {
  /** From here on commits are gone. */
  readonly cutAtMs: number
  readonly atMs: number
  readonly commitsCount: number
  /** Events that are not there any more, by their task. */
  readonly events: ReadonlyMap<string, ReadonlyArray<TaskEvent>>
  /** Tasks of which nothing is left. */
  readonly taskIds: ReadonlySet<string>
  /** Kinds whose policy is not there any more: until workers announce it again, within a minute, the default decides. */
  readonly unannounced: ReadonlySet<string>
}

/** Of a stream, some of what happened to it. */
export const hasLost = (lost: ReadonlyArray<Lost>, taskId: string): boolean =>
  lost.some(({ events }) => events.has(taskId))

/** What was asked and told then may have been decided by what is not there any more. */
export const isLost = (lost: ReadonlyArray<Lost>, askedAtMs: number, toldAtMs: number): boolean =>
  lost.some(({ atMs, cutAtMs }) => askedAtMs <= atMs && toldAtMs >= cutAtMs)

type Part = "database" | "sessions" | "recurrences" | "deadLetters"

/** Each of these is one transaction; `schedule` within one of a handler is none, and `commit` carries its tasks. */
const changes: { readonly [P in Part]: ReadonlySet<PropertyKey> } = {
  database: new Set([
    "schedule",
    "claim",
    "pause",
    "release",
    "start",
    "startDue",
    "finish",
    "commit",
    "expire",
    "expireTasks",
    "takeParked",
    "reconcile",
    "act"
  ]),
  sessions: new Set(["open", "renew", "end", "leave", "serve"]),
  recurrences: new Set(["create", "revise", "settle"]),
  deadLetters: new Set(["markAnnounced"])
}
/** Parts that are asked for by name and must be those of the database that is primary now. */
const parts = new Set<PropertyKey>(["sessions", "recurrences", "deadLetters", "streams"])

type Method = (...args: ReadonlyArray<unknown>) => unknown
type Commit = {
  readonly part: Part
  readonly method: PropertyKey
  readonly args: ReadonlyArray<unknown>
  readonly nanos: bigint
  readonly sinceStartMs: number
  /** What the functions among the arguments have answered, in their order. */
  readonly drawn: Array<unknown>
}

export class Standby {
  /** The database of whoever is primary, under a name that outlives it. */
  readonly primary: MemoryDatabase
  readonly lost: Array<Lost> = []
  readonly #kernel: Kernel
  readonly #clock: Clock.Clock
  readonly #damage: (database: MemoryDatabase) => void
  readonly #serve: (database: MemoryDatabase) => void
  #current: MemoryDatabase
  #commits: Array<Commit> = []
  #replayedNanos: bigint | null = null
  /**
   * None is given twice, whichever commits are lost. PostgreSQL logs a sequence 32 ahead of what it has given (`SEQ_LOG_VALS`), and
   * fewer sessions than that are opened here between two failovers.
   */
  #sessionIdMax = 0
  readonly #subscribers = new Set<Parameters<MemoryDatabase["subscribe"]>[0]>()
  readonly #deciders = new Set<Parameters<MemoryDatabase["recurrences"]["subscribe"]>[0]>()

  constructor(options: {
    readonly kernel: Kernel
    readonly clock: Clock.Clock
    /** Without a failover to come nothing has to be written down. */
    readonly isNeeded: boolean
    /** Of each database, before it does anything. */
    readonly damage: (database: MemoryDatabase) => void
    /** Of the one that becomes primary. */
    readonly serve: (database: MemoryDatabase) => void
  }) {
    this.#kernel = options.kernel
    this.#clock = options.clock
    this.#damage = options.damage
    this.#serve = options.serve
    this.#current = this.#made()
    options.serve(this.#current)
    this.primary = options.isNeeded ? (this.#nameOf("database", () => this.#current) as MemoryDatabase) : this.#current
  }

  /**
   * The standby takes over, with what it has of the last `losesMs`: nothing.
   *
   * @returns how many ids of sessions it leaves out
   */
  failOver(losesMs: number): number {
    const before = this.#current
    const cutAtMs = this.#kernel.nowMs - losesMs
    const kept = this.#commits.filter(({ sinceStartMs }) => sinceStartMs <= cutAtMs)
    const after = this.#made()
    for (const commit of kept) this.#replay(after, commit)
    this.#replayedNanos = null
    this.lost.push(lostBetween(before, after, cutAtMs, this.#kernel.nowMs, this.#commits.length - kept.length))
    this.#commits = kept
    this.#current = after
    this.#sessionIdMax = Math.max(this.#sessionIdMax, before.sessions.open(0))
    let leftOutCount = 0
    for (let sessionId = 0; sessionId < this.#sessionIdMax; leftOutCount++) {
      // Like everything else, or the next standby would have given other ids.
      this.#written("sessions", "open", [0])
      sessionId = after.sessions.open(0)
      this.#written("sessions", "end", [sessionId])
      after.sessions.end(sessionId)
    }
    this.#serve(after)
    for (const queue of this.#subscribers) after.subscribe(queue)
    for (const decide of this.#deciders) after.recurrences.subscribe(decide)
    return leftOutCount
  }

  #made(): MemoryDatabase {
    const clock = {
      ...this.#clock,
      currentTimeNanosUnsafe: () => this.#replayedNanos ?? this.#clock.currentTimeNanosUnsafe()
    }
    const database = new MemoryDatabase(clock, leaseMsDefault)
    this.#damage(database)
    return database
  }

  #replay(database: MemoryDatabase, { args, drawn, method, nanos, part }: Commit): void {
    this.#replayedNanos = nanos
    const left = [...drawn]
    const own = part === "database" ? database : database[part]
    const again = args.map((arg) => (typeof arg === "function" ? () => left.shift() : arg))
    Reflect.apply(methodOf(own, method), own, again)
  }

  /** An object that answers as that part of whichever database is primary, and writes down what changes it. */
  #nameOf(part: Part | "streams", own: () => object): object {
    const named = new Map<PropertyKey, unknown>()
    return new Proxy(own(), {
      get: (_, key) => {
        const known = named.get(key)
        if (known !== undefined) return known
        const value: unknown = Reflect.get(own(), key)
        const made = this.#madeName(part, key, value, own)
        if (made !== value) named.set(key, made)
        return made
      }
    })
  }

  #madeName(part: Part | "streams", key: PropertyKey, value: unknown, own: () => object): unknown {
    if (part === "database" && parts.has(key) && typeof value === "object" && value !== null) {
      const inner = () => Reflect.get(own(), key) as object
      return this.#nameOf(key as Part | "streams", inner)
    }
    if (typeof value !== "function") return value
    if (part === "database" && (key === "subscribe" || key === "unsubscribe")) return this.#subscription(key)
    if (part === "recurrences" && key === "subscribe") return this.#decisions
    const isChange = part !== "streams" && changes[part].has(key)
    return (...args: ReadonlyArray<unknown>) => {
      const isWritten = isChange && !(key === "schedule" && args[1] !== null)
      return Reflect.apply(methodOf(own(), key), own(), isWritten ? this.#written(part, key, args) : args)
    }
  }

  #written(part: Part, method: PropertyKey, args: ReadonlyArray<unknown>): ReadonlyArray<unknown> {
    const drawn: Array<unknown> = []
    const nanos = this.#clock.currentTimeNanosUnsafe()
    this.#commits.push({ part, method, args, nanos, sinceStartMs: this.#kernel.nowMs, drawn })
    return args.map((arg) => {
      if (typeof arg !== "function") return arg
      return () => {
        const answer: unknown = arg()
        drawn.push(answer)
        return answer
      }
    })
  }

  #subscription(key: "subscribe" | "unsubscribe"): MemoryDatabase["subscribe"] {
    return (queue) => {
      if (key === "subscribe") this.#subscribers.add(queue)
      else this.#subscribers.delete(queue)
      this.#current[key](queue)
    }
  }

  readonly #decisions: MemoryDatabase["recurrences"]["subscribe"] = (decide) => {
    this.#deciders.add(decide)
    const leave = this.#current.recurrences.subscribe(decide)
    return () => {
      leave()
      return this.#deciders.delete(decide)
    }
  }
}

const methodOf = (own: object, key: PropertyKey): Method => Reflect.get(own, key) as Method

const lostBetween = (
  before: MemoryDatabase,
  after: MemoryDatabase,
  cutAtMs: number,
  atMs: number,
  commitsCount: number
): Lost => {
  const events = new Map<string, ReadonlyArray<TaskEvent>>()
  const taskIds = new Set<string>()
  for (const stream of before.streams.page(null, Number.MAX_SAFE_INTEGER)) {
    const kept = new Set(after.streams.events(stream.taskId)?.map(({ eventId }) => eventId))
    const gone = stream.events.filter(({ eventId }) => !kept.has(eventId))
    if (gone.length > 0) events.set(stream.taskId, gone)
    if (kept.size === 0) taskIds.add(stream.taskId)
  }
  const left = announcedIn(after)
  const unannounced = new Set([...announcedIn(before)].filter((kind) => !left.has(kind)))
  return { cutAtMs, atMs, commitsCount, events, taskIds, unannounced }
}

/** Kinds whose policy this database knows. */
export const announcedIn = (database: MemoryDatabase): ReadonlySet<string> =>
  new Set(database.sessions.kinds([], 0).flatMap(({ known, policy }) => (known ? [policy.kind] : [])))
