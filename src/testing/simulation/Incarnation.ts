/**
 * One life of a node: the Effect references that real code finds under it, all served by the kernel. A restart is a new
 * incarnation with new layers; nothing but the database and the broker outlives the old one.
 */
import { Clock, Context, Duration, Effect, Random, Scheduler } from "effect"
import { CurrentLoggers, type Logger } from "effect/Logger"
import { Ids } from "../../store/Ids.ts"
import { epochMs, type Kernel, type Owner } from "./Kernel.ts"

export type NodeClock = {
  /** Wall clock minus the database's, at the beginning. */
  readonly offsetMs: number
  /** Local ms per real one. */
  readonly rate: number
}

export const trueClock: NodeClock = { offsetMs: 0, rate: 1 }

export class Incarnation implements Owner {
  readonly name: string
  isAlive = true
  pausedUntilMs = 0
  readonly context: Context.Context<never>

  constructor(kernel: Kernel, name: string, clock: NodeClock, preemption: number, logger: Logger<unknown, void>) {
    this.name = name
    this.context = Context.empty().pipe(
      Context.add(Clock.Clock, clockOf(kernel, this, clock)),
      Context.add(Scheduler.Scheduler, schedulerOf(kernel, this, preemption)),
      Context.add(Random.Random, randomOf(kernel, name)),
      Context.add(Ids, idsOf(kernel, name)),
      Context.add(CurrentLoggers, new Set([logger]))
    )
  }
}

/** The offset may be changed while it is in use: a clock that is set. */
export const clockOf = (kernel: Kernel, owner: Owner, clock: NodeClock): Clock.Clock => {
  const { rate } = clock
  const monotonicMs = () => kernel.nowMs * rate
  const wallMs = () => epochMs + clock.offsetMs + monotonicMs()
  // Asked several times at each instant, and a step of big numbers costs more than a comparison.
  const nanosAt = () => {
    let [knownMs, nanos] = [Number.NaN, 0n]
    return (ms: number): bigint => {
      if (ms === knownMs) return nanos
      knownMs = ms
      return (nanos = BigInt(Math.round(ms * 1e3)) * 1_000n)
    }
  }
  const [wallNanos, monotonicNanos] = [nanosAt(), nanosAt()]
  return {
    currentTimeMillisUnsafe: () => Math.floor(wallMs()),
    currentTimeMillis: Effect.sync(() => Math.floor(wallMs())),
    currentTimeNanosUnsafe: () => wallNanos(wallMs()),
    currentTimeNanos: Effect.sync(() => wallNanos(wallMs())),
    monotonicTimeNanosUnsafe: () => monotonicNanos(monotonicMs()),
    monotonicTimeNanos: Effect.sync(() => monotonicNanos(monotonicMs())),
    sleep: (duration) => {
      const askedMs = Duration.toMillis(duration)
      if (!Number.isFinite(askedMs)) return Effect.never
      // As a timer of Node, or a turn of its loop. Without, whoever waits for a rounding error to pass would wait for ever.
      const ms = askedMs <= 0 ? 0.001 : Math.max(1, askedMs)
      return Effect.callback<void>((resume) => {
        const disarm = kernel.after(owner, ms / rate, () => resume(Effect.void))
        return Effect.sync(disarm)
      })
    }
  }
}

/** One queue for all fibers of all nodes; a fiber may lose its turn before any operation. */
const schedulerOf = (kernel: Kernel, owner: Owner, preemption: number): Scheduler.Scheduler => {
  const draw = kernel.chance.drawsOf(`preempt ${owner.name}`)
  // The same chance at every operation, drawn once for all operations up to the next loss: geometrically distributed.
  const operationsUntilLoss = () =>
    preemption === 0 ? Number.POSITIVE_INFINITY : 1 + Math.floor(Math.log(1 - draw()) / Math.log(1 - preemption))
  let leftCount = operationsUntilLoss()
  return {
    executionMode: "async",
    shouldYield: (fiber) => {
      if (--leftCount <= 0) {
        leftCount = operationsUntilLoss()
        return true
      }
      return fiber.currentOpCount >= opsPerTurnMax
    },
    makeDispatcher: () => ({ scheduleTask: (run) => kernel.schedule(owner, run), flush: () => {} })
  }
}

/** As Effect's own scheduler. */
const opsPerTurnMax = 2_048

const randomOf = (kernel: Kernel, name: string): Context.Service.Shape<typeof Random.Random> => {
  const draw = kernel.chance.drawsOf(`random ${name}`)
  return { nextIntUnsafe: () => draw() * 2 ** 32, nextDoubleUnsafe: draw }
}

const idsOf = (kernel: Kernel, name: string): typeof Ids.Service => {
  const bytes = new Uint8Array(8)
  const next = kernel.chance.drawsOf(`id ${name}`)
  const draw = () => next() * 2 ** 32
  const hex = (bits: number) =>
    `${hexOfByte[bits >>> 24]}${hexOfByte[(bits >>> 16) & 0xff]}${hexOfByte[(bits >>> 8) & 0xff]}${hexOfByte[bits & 0xff]}`
  return {
    eventId: () => {
      const [a, b, c, d] = [hex(draw()), hex(draw()), hex(draw()), hex(draw())]
      return `${a}-${b.slice(0, 4)}-4${b.slice(5)}-8${c.slice(1, 4)}-${c.slice(4)}${d}`
    },
    taskBytes: () => {
      for (let index = 0; index < bytes.length; index++) bytes[index] = draw()
      return bytes
    }
  }
}

const hexOfByte = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"))
