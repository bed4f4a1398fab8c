/** Lives in the process that is hit, and hits it: at the place it is armed with, so many times, and each time on record. */
import { type Clock, Effect } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import type { Deed, Place } from "./points.ts"

/** What the process knew of a task when it was hit. */
export type Held = {
  readonly taskId: string
  /** Of the last event it knew, 0 before the first; null: of none in particular. */
  readonly version: number | null
  /** Of the event that it had recorded or was about to. */
  readonly eventId: string | null
  /** Null where the place is the same for all kinds. */
  readonly kind: string | null
}

export type Hit = {
  readonly point: string
  readonly processId: number
  readonly held: ReadonlyArray<Held>
}

export type ArmedPoint = {
  readonly point: string
  readonly place: Place
  readonly deed: Deed
  /** Of the tasks that are hit there; null: of any. */
  readonly kind: string | null
  /** The place is passed so many times before. */
  readonly skip: number
}

export type Arming = {
  /** One; or several that are hit by one crash: who comes to its place waits there for the others. */
  readonly points: ReadonlyArray<ArmedPoint>
  /** So many hits of each, and then never again. */
  readonly hits: number
  readonly leaseMs: number
  /** A line of JSON for each hit, written before it. */
  readonly hitsFile: string
}

/** Beyond the lease of what it holds, and below the 10 s after which PostgreSQL ends a transaction that does nothing. */
const freezeLeases = 1.4
/** Between two hits of one process that lives on: its next session has begun, and other work is under way. */
const pauseLeases = 1
/** Between two answers that are lost. */
const losePauseMs = 200
/** Longest wait for the others: below the 10 s after which PostgreSQL ends a transaction that does nothing. */
export const meetMs = 9_000
/** Below the 5 s in which an announcement has to be made. */
const meetMsOfAnnouncement = 4_000
/** Of a hit's record. */
const heldMax = 20

export class Trigger {
  readonly #arming: Arming | null
  readonly #clock: Clock.Clock
  readonly #skips = new Map<string, number>()
  readonly #arrived = new Map<string, Hit>()
  #left: number
  #quietUntilMs = Number.NEGATIVE_INFINITY

  /** @param arming null: it hits nobody. */
  constructor(arming: Arming | null, clock: Clock.Clock) {
    this.#arming = arming
    this.#clock = clock
    this.#left = arming?.hits ?? 0
    for (const { point, skip } of arming?.points ?? []) this.#skips.set(point, skip)
  }

  /** Whether several points are hit by one crash. */
  get meets(): boolean {
    return this.#arming !== null && this.#arming.points.length > 1
  }

  /** Whether a hit at the place, of tasks of the kind, may still come. */
  awaits(place: Place, kind: string | null = null): boolean {
    return (
      this.#left > 0 && this.#armed(place).some((armed) => kind === null || armed.kind === null || armed.kind === kind)
    )
  }

  /** Does not come back from a crash. True: the answer is to be lost. A place that holds nothing is not hit. */
  at(place: Place, held: ReadonlyArray<Held>): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      if (!this.meets) return Effect.succeed(this.reach(place, held))
      return this.#arrive(place, held)
        ? Effect.as(
            Effect.andThen(
              Effect.sleep(this.#armed("announced").length > 0 ? meetMsOfAnnouncement : meetMs),
              Effect.sync(() => this.#crash())
            ),
            false
          )
        : Effect.succeed(false)
    })
  }

  /** The same where nobody can wait: nothing, if several points are to be hit at once. */
  reach(place: Place, held: ReadonlyArray<Held>): boolean {
    if (this.#arming === null || this.meets || this.#left === 0) return false
    const passed = this.#pass(place, held)
    if (passed === undefined) return false
    const { hitsFile, leaseMs } = this.#arming
    this.#left--
    fs.appendFileSync(hitsFile, lineOf(passed.hit))
    switch (passed.armed.deed) {
      case "crash":
        return crash()
      case "freeze":
        freeze(leaseMs * freezeLeases)
        this.#quietUntilMs = this.#nowMs() + leaseMs * pauseLeases
        return false
      case "lose":
        this.#quietUntilMs = this.#nowMs() + losePauseMs
        return true
      case "skew":
        return false
    }
  }

  /** Whether somebody has come to a point where nobody had; the last of them all ends the process. */
  #arrive(place: Place, held: ReadonlyArray<Held>): boolean {
    const passed = this.#pass(place, held)
    if (passed === undefined) return false
    this.#arrived.set(passed.armed.point, passed.hit)
    if (this.#arrived.size === this.#arming?.points.length) this.#crash()
    return true
  }

  #pass(place: Place, held: ReadonlyArray<Held>): { readonly armed: ArmedPoint; readonly hit: Hit } | undefined {
    if (this.#nowMs() < this.#quietUntilMs) return undefined
    for (const armed of this.#armed(place)) {
      const own = held.filter(({ kind }) => armed.kind === null || kind === null || kind === armed.kind)
      if (own.length === 0 || this.#arrived.has(armed.point)) continue
      const skip = this.#skips.get(armed.point) ?? 0
      this.#skips.set(armed.point, Math.max(0, skip - 1))
      if (skip > 0) continue
      return { armed, hit: { point: armed.point, processId: process.pid, held: own.slice(0, heldMax) } }
    }
    return undefined
  }

  #crash(): never {
    if (this.#arming !== null) {
      fs.appendFileSync(this.#arming.hitsFile, Array.from(this.#arrived.values(), lineOf).join(""))
    }
    return crash()
  }

  #armed(place: Place): ReadonlyArray<ArmedPoint> {
    return this.#arming?.points.filter((armed) => armed.place === place) ?? []
  }

  #nowMs(): number {
    return Number(this.#clock.monotonicTimeNanosUnsafe()) / 1e6
  }
}

const lineOf = (hit: Hit): string => `${JSON.stringify(hit)}\n`

/** Not one statement more: the signal ends all threads, and this one waits for it. */
export const crash = (): never => {
  process.kill(process.pid, "SIGKILL")
  while (true) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

/** Comes back when another process has thawed this one, whatever becomes of the harness meanwhile. */
const freeze = (forMs: number): void => {
  const args = ["-c", 'sleep "$2"; kill -CONT "$1"', "sh", String(process.pid), String(forMs / 1_000)]
  spawn("/bin/sh", args, { detached: true, stdio: "ignore" }).unref()
  process.kill(process.pid, "SIGSTOP")
}
