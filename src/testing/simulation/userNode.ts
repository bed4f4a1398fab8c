/** A node of a simulation that runs a user's handlers: the real engine and worker, with everything of the user's code counted. */
import { Clock, type Context, Effect, Layer, Scheduler } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, Statement } from "effect/sql"
import { Duetime } from "../../Duetime.ts"
import { Engine } from "../../engine/Engine.ts"
import { CommitSql } from "../../worker/CommitSql.ts"
import { type Handler, Handlers } from "../../worker/Handlers.ts"
import { Worker } from "../../worker/Worker.ts"
import type { Life, Ports } from "./Life.ts"
import type { Kernel } from "./Kernel.ts"
import type { Ledger } from "./Ledger.ts"
import type { Outside } from "./Outside.ts"
import type { HandlerCall } from "./protocolInvariants.ts"
import { CurrentWaits, layerCounted, Waits } from "./Waits.ts"

/** What a user's handlers may need in a simulation. */
export type SimulatedServices = Handlers | Duetime | Ledger | Outside

/** A call of a handler, or of its `reconcile`. */
export type SimulatedCall = HandlerCall & {
  readonly kind: string
  readonly what: "handler" | "reconcile"
  /** Ms since the history began. */
  readonly atMs: number
  /** Null: it never ended, since its node died. */
  endedAtMs: number | null
}

/** The user's code in one life of a node. */
export type UserLife = {
  readonly waits: Waits
  readonly running: Set<SimulatedCall>
  readonly life: Life
}

/** What the nodes of one history tell of the user's code. */
export type Observed = {
  readonly kernel: Kernel
  readonly calls: Array<SimulatedCall>
  /** Kinds with a handler, and whether it can be asked about parked tasks. */
  readonly served: Map<string, { readonly reconciles: boolean }>
  readonly lives: Array<UserLife>
}

export const userProgram = (
  life: Life,
  parts: {
    readonly handlers: Layer.Layer<never, unknown, SimulatedServices>
    readonly servers: Context.Context<Ledger | Outside>
    readonly concurrency: number
    readonly observed: Observed
  }
): Effect.Effect<unknown, unknown, Ports> => {
  const { concurrency, handlers, observed, servers } = parts
  const own: UserLife = { waits: new Waits(), running: new Set(), life }
  observed.lives.push(own)
  const registry = Layer.effect(
    Handlers,
    Effect.gen(function* () {
      const { register } = yield* Handlers
      const [clock, scheduler] = [yield* Clock.Clock, yield* Scheduler.Scheduler]
      return {
        register: (handler: Handler) =>
          register(observedHandler(handler, own, observed)).pipe(
            // What the worker forks for a handler is not the user's.
            Effect.provideService(CurrentWaits, null),
            Effect.provideService(Clock.Clock, clock),
            Effect.provideService(Scheduler.Scheduler, scheduler)
          )
      }
    })
  )
  const user = handlers.pipe(
    Layer.provide(Layer.mergeAll(Duetime.layer, Layer.succeedContext(servers))),
    Layer.provide(layerCounted(own.waits)),
    Layer.provide(registry)
  )
  const node = Engine.layer.pipe(
    Layer.provideMerge(user),
    Layer.provideMerge(Worker.layer({ concurrency })),
    Layer.provide(commitSql)
  )
  return Layer.launch(Layer.fresh(node))
}

const observedHandler = (
  handler: Handler,
  { life, running }: UserLife,
  { calls, kernel, served }: Observed
): Handler => {
  const { begin, policy, reconcile, unfitness } = handler
  served.set(policy.kind, { reconciles: reconcile !== null })
  const called = (call: Pick<SimulatedCall, "what" | "taskId" | "attempt" | "fence">): SimulatedCall => {
    const isLeaseOver = call.what === "handler" && life.isLeaseOver()
    const whole = { ...call, kind: policy.kind, node: life.name, isLeaseOver, atMs: kernel.nowMs, endedAtMs: null }
    calls.push(whole)
    running.add(whole)
    kernel.note(`${life.name} calls ${call.taskId} ${call.attempt} ${call.what}`)
    return whole
  }
  const ended = (call: SimulatedCall) => {
    call.endedAtMs = kernel.nowMs
    running.delete(call)
  }
  return {
    policy,
    unfitness,
    begin: (grant) => {
      const { attempt, fence, taskId } = grant.started
      const call = called({ what: "handler", taskId, attempt, fence: fence.version })
      const fiber = begin(grant)
      fiber.addObserver(() => ended(call))
      return fiber
    },
    reconcile:
      reconcile === null
        ? null
        : (parked) =>
            Effect.acquireUseRelease(
              Effect.sync(() =>
                called({
                  what: "reconcile",
                  taskId: parked.taskId,
                  attempt: parked.attempt,
                  fence: parked.fence.version
                })
              ),
              () => reconcile(parked),
              (call) => Effect.sync(() => ended(call))
            )
  }
}

/** The handler that nothing in the kernel can wake any more; null: there is none now. */
export const leftIn = ({ kernel, lives }: Observed): SimulatedCall | null => {
  for (const { life, running, waits } of lives) {
    if (running.size === 0 || waits.count > 0) continue
    const { incarnation } = life
    if (!incarnation.isAlive || incarnation.pausedUntilMs > kernel.nowMs) continue
    for (const call of running) return call
  }
  return null
}

/** What a transaction does here is schedule and write into the ledger. The client is there to be handed on. */
const commitSql = Layer.effect(
  CommitSql,
  SqlClient.make({
    acquirer: Effect.die(
      new Error("a simulation has no SQL: let a service of its own write, whose simulated layer uses Ledger.table")
    ),
    compiler: Statement.makeCompilerSqlite(),
    driver: "none",
    spanAttributes: []
  }).pipe(Effect.provide(Reactivity.layer))
)
