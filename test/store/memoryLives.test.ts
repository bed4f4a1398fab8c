/**
 * Random work of three processes on one database: schedules, claims with and without caps, pulls, starts, outcomes,
 * reconciliations, wishes, pauses, announcements, expiries, crashes, cuts and lost answers in any order, with time in between. Whatever
 * happened, the audit is green, every end is followed by what it should be, and every acknowledged task is there; and once everybody is well again and nothing is
 * paused, every task comes to its end and every dead letter has been announced.
 */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Layer } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { audit } from "../../src/core/audit.ts"
import { fold } from "../../src/core/evolve.ts"
import { defaultKindPolicy, type KindPolicy } from "../../src/core/KindPolicy.ts"
import { priorities } from "../../src/core/Priority.ts"
import type { Outcome } from "../../src/core/TaskCommand.ts"
import * as TaskId from "../../src/core/TaskId.ts"
import { isEnded, type Stage } from "../../src/core/TaskState.ts"
import * as MemoryDatabase from "../../src/store/memory/MemoryDatabase.ts"
import * as MemoryStore from "../../src/store/MemoryStore.ts"
import { leaseMsDefault, Session } from "../../src/store/Session.ts"
import type { StoreUnavailable } from "../../src/store/StoreError.ts"
import { TaskStore, type ClaimedTask, type Started, type Wish } from "../../src/store/TaskStore.ts"

const error = { name: "Error", message: "no" }
const outcomes: ReadonlyArray<Outcome> = [
  { _tag: "Succeed", result: null },
  { _tag: "Fail", error, retryable: true, retryInMs: null },
  { _tag: "Fail", error, retryable: false, retryInMs: null },
  { _tag: "Snooze", inMs: 50 },
  { _tag: "Discard", reason: "no" },
  { _tag: "Release", reason: "drained" }
]
const wishes: ReadonlyArray<Wish> = [
  { _tag: "Cancel", reason: null },
  { _tag: "Reschedule", dueAtMs: 5_000 },
  { _tag: "Reprioritise", priority: "critical" },
  { _tag: "RunNow" },
  { _tag: "Redrive" },
  { _tag: "Redrive", payload: { mended: true } },
  { _tag: "DiscardDead", reason: "nobody needs it" }
]
const kinds = ["retried", "parked"]
const policyOf = (kind: string): KindPolicy => ({
  ...defaultKindPolicy(kind),
  retry: { attemptsMax: 3, delay: { _tag: "Exponential", baseMs: 100, factor: 2, capMs: 1_000 }, jitter: "full" },
  onInterrupted: kind === "parked" ? "park" : "retry"
})

class World {
  readonly database: MemoryDatabase.MemoryDatabase
  readonly processes: Array<Process> = []
  readonly acknowledged = new Set<string>()
  readonly claimed: Array<ClaimedTask> = []
  readonly started: Array<Started> = []
  /** Version of the last announced death by task. */
  readonly announced = new Map<string, number>()
  /** Requests without an answer; their senders repeat them some time, unless they have crashed. */
  readonly unanswered: Array<readonly [Process, Effect.Effect<void>]> = []
  idsCount = 0

  constructor(database: MemoryDatabase.MemoryDatabase) {
    this.database = database
  }

  newEventId(): string {
    return `00000000-0000-4000-8000-${(++this.idsCount).toString(16).padStart(12, "0")}`
  }

  /** Asks, and asks the very same thing again later if no answer comes. */
  ask<A>(
    process: Process,
    request: Effect.Effect<A, StoreUnavailable>,
    onAnswer: (answer: A) => void
  ): Effect.Effect<void> {
    const asking: Effect.Effect<void> = request.pipe(
      Effect.map(onAnswer),
      Effect.catch(() => Effect.sync(() => void this.unanswered.push([process, asking])))
    )
    return asking
  }
}

type Process = Effect.Success<ReturnType<typeof openProcess>>

const openProcess = Effect.fnUntraced(function* (database: MemoryDatabase.MemoryDatabase) {
  const context = yield* Layer.build(MemoryStore.layerOn(database))
  const session = Context.get(context, Session)
  yield* Effect.orDie(session.serve(kinds.map(policyOf)))
  return { store: Context.get(context, TaskStore), session, control: Context.get(context, MemoryStore.MemoryControl) }
})

/** What a process may do next; `pick` chooses among whatever there is to choose from. */
const actions = {
  schedule: (world: World, process: Process, pick: number) => {
    const nowMs = world.database.now()
    const eventId = world.newEventId()
    const bytes = Uint8Array.from({ length: 8 }, (_, index) => (world.idsCount * (2 * index + 7)) & 0xff)
    const kind = of(kinds, pick)
    const key = pick % 5 === 0 ? `key-${pick % 3}` : null
    const dueAtMs = nowMs + (pick % 500)
    const taskId = TaskId.make(nowMs, world.idsCount, bytes)
    const expiresAtMs = pick % 4 === 1 ? dueAtMs + 1 + (pick % 700) : null
    const followUp = {
      kind: of(kinds, pick + 1),
      priority: "low",
      inMs: pick % 200,
      dueJitter: null,
      payload: null
    } as const
    const followUps = pick % 3 === 0 ? { onSuccess: { ...followUp, onDead: followUp }, onDead: followUp } : {}
    const priority = of(priorities, pick)
    const task = { expiresAtMs, taskId, eventId, kind, priority, dueAtMs, key, payload: null, ...followUps }
    const request = process.store.schedule([task]).pipe(Effect.catchTag("DueBeyondHorizon", Effect.die))
    return world.ask(process, request, (answers) => answers.forEach((answer) => world.acknowledged.add(answer.taskId)))
  },
  claim: (world: World, { session, store }: Process, pick: number) =>
    store.claim({ sessionId: session.id(), kinds, lookAheadMs: pick % 300, limit: 1 + (pick % 4) }).pipe(
      Effect.map(({ tasks }) => world.claimed.push(...tasks)),
      Effect.ignore
    ),
  claimCapped: (world: World, { session, store }: Process, pick: number) => {
    const caps = { concurrencyMax: 1 + (pick % 3), startsPerSecondMax: pick % 2 === 0 ? null : 5 }
    const request = { sessionId: session.id(), kinds: [of(kinds, pick)], lookAheadMs: 0, limit: 4, caps }
    return store.claim(request).pipe(
      Effect.map(({ tasks }) => world.claimed.push(...tasks)),
      Effect.ignore
    )
  },
  pull: (world: World, { store }: Process, pick: number) =>
    store
      .pull({ kinds, overdueMs: pick % 50, limit: 1 + (pick % 4), fromLowest: pick % 2, suspectsMax: pick % 2 })
      .pipe(
        Effect.map((tasks) => world.claimed.push(...tasks)),
        Effect.ignore
      ),
  pause: (world: World, process: Process, pick: number) => {
    const target = pick % 5 === 0 ? ({ _tag: "Queue", queue: "default" } as const) : kindOf(pick)
    return world.ask(process, process.store.pause(target, pick % 3 === 0), () => {})
  },
  relay: (world: World, { store }: Process, pick: number) => Effect.ignore(relay(world, store, 1 + (pick % 3))),
  findClaims: (world: World, { session, store }: Process) =>
    store.claimedBy(session.id(), Number.POSITIVE_INFINITY, 10).pipe(
      Effect.map((tasks) => world.claimed.push(...tasks)),
      Effect.ignore
    ),
  start: (world: World, process: Process, pick: number) => {
    if (world.claimed.length === 0) return Effect.void
    const { fence, taskId } = of(world.claimed, pick)
    const eventId = world.newEventId()
    const batch = [{ taskId, fence, eventId, timeoutMs: 100 + (pick % 3) * 400, dispatchedAtMs: null }]
    const request = process.store.start(process.session.id(), batch)
    return world.ask(process, request, ([answer]) => {
      if (answer?._tag === "Started") world.started.push(answer)
    })
  },
  finish: (world: World, process: Process, pick: number) => {
    if (world.started.length === 0) return Effect.void
    const started = of(world.started, pick)
    const request = {
      started,
      eventId: world.newEventId(),
      outcome: of(outcomes, pick),
      policy: policyOf(started.kind)
    }
    return world.ask(process, process.store.finish([request]), () => {})
  },
  release: (world: World, process: Process, pick: number) => {
    if (world.claimed.length === 0) return Effect.void
    const { fence, taskId } = of(world.claimed, pick)
    const eventId = world.newEventId()
    return world.ask(process, process.store.release([{ taskId, fence, eventId, reason: "drained" }]), () => {})
  },
  act: (world: World, process: Process, pick: number) => {
    if (world.acknowledged.size === 0) return Effect.void
    const taskId = of([...world.acknowledged], pick)
    const request = process.store.act(taskId, world.newEventId(), of(wishes, pick))
    return world.ask(process, request.pipe(Effect.catchTag("TaskNotFound", Effect.die)), () => {})
  },
  reconcile: (world: World, process: Process, pick: number) =>
    process.store.takeParked({ kinds, limit: 1 + (pick % 3) }).pipe(
      Effect.flatMap((parked) =>
        Effect.forEach(parked, ({ fence, kind, taskId }) => {
          const answer = pick % 2 === 0 ? ({ _tag: "Done", result: pick } as const) : ({ _tag: "NotDone" } as const)
          const request = { taskId, fence, eventId: world.newEventId(), answer, policy: policyOf(kind) }
          return world.ask(process, process.store.reconcile(request), () => {})
        })
      ),
      Effect.ignore
    ),
  expire: (_: World, { store }: Process, pick: number) => Effect.ignore(store.expire(1 + (pick % 5))),
  expireTasks: (_: World, { store }: Process, pick: number) => Effect.ignore(store.expireTasks(1 + (pick % 5))),
  repeat: (world: World) => {
    const [waiting] = world.unanswered.splice(0, 1)
    return waiting !== undefined && world.processes.includes(waiting[0]) ? waiting[1] : Effect.void
  },
  fail: (_: World, { control }: Process, pick: number) => control.failNext(pick % 2 === 0 ? "before" : "after"),
  cutOff: (_: World, { control }: Process, pick: number) => control.cutOff(pick % 3 === 0),
  crash: (world: World, process: Process) =>
    Effect.gen(function* () {
      yield* process.control.crash
      world.processes.splice(world.processes.indexOf(process), 1, yield* openProcess(world.database))
    }),
  wait: (_: World, __: Process, pick: number) => TestClock.adjust(pick)
} as const

const kindOf = (pick: number) => ({ _tag: "Kind", kind: of(kinds, pick) }) as const

const relay = (world: World, store: TaskStore["Service"], limit: number) =>
  store.relayDead(limit, (letters) =>
    Effect.sync(() => letters.forEach(({ taskId, version }) => world.announced.set(taskId, version)))
  )

const common = ["schedule", "claim", "start", "finish", "wait"] as const
const anyStep = fc.record({
  action: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(...common) },
    fc.constantFrom(...Object.keys(actions).filter((name): name is keyof typeof actions => name in actions))
  ),
  place: fc.nat({ max: 2 }),
  pick: fc.nat({ max: 1_500 })
})
type Step = { readonly action: keyof typeof actions; readonly place: number; readonly pick: number }

it("leaves a green audit, loses nothing and can be brought to its end", { timeout: 60_000 }, async () => {
  const seen = new Map<Stage, number>()
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { minLength: 30, maxLength: 150, size: "max" }), (steps) =>
      Effect.runPromise(live(steps, seen).pipe(Effect.scoped, Effect.provide(TestClock.layer())))
    ),
    { numRuns: 120, seed: 20_261_125 }
  )
  // Work that gets nowhere would break nothing, either.
  for (const stage of [
    "pending",
    "claimed",
    "running",
    "parked",
    "dead",
    "succeeded",
    "cancelled",
    "expired"
  ] as const) {
    assert.isAbove(seen.get(stage) ?? 0, 5, stage)
  }
})

const live = Effect.fnUntraced(function* (steps: ReadonlyArray<Step>, seen: Map<Stage, number>) {
  const world = new World(yield* MemoryDatabase.make())
  for (let place = 0; place < 3; place++) world.processes.push(yield* openProcess(world.database))
  for (const { action, pick, place } of steps) yield* actions[action](world, of(world.processes, place), pick)

  const healthy = yield* openProcess(world.database)
  for (const { stage } of yield* auditedStates(world, healthy)) seen.set(stage, (seen.get(stage) ?? 0) + 1)
  for (const process of world.processes) yield* process.control.crash
  yield* TestClock.adjust(leaseMsDefault)
  yield* bringToEnd(world, healthy)
})

/** The state of every task, after the audit. */
const auditedStates = Effect.fnUntraced(function* (world: World, { store }: Process) {
  const streams = yield* Effect.orDie(store.streams(null, 10_000))
  assert.deepStrictEqual(audit(streams, { policyOf }), [])
  assert.includeMembers(
    streams.map(({ taskId }) => taskId),
    [...world.acknowledged]
  )
  return streams.flatMap(({ events }) => fold(events) ?? [])
})

const roundsMax = 40

const bringToEnd = Effect.fnUntraced(function* (world: World, healthy: Process) {
  const targets = [kindOf(0), kindOf(1), { _tag: "Queue", queue: "default" } as const]
  yield* Effect.orDie(Effect.forEach(targets, (target) => healthy.store.pause(target, false)))
  for (let round = 0; round < roundsMax; round++) {
    const states = yield* auditedStates(world, healthy)
    if (states.every(({ stage }) => isEnded(stage))) {
      yield* Effect.orDie(relay(world, healthy.store, 10_000))
      for (const { stage, taskId, version } of states) {
        if (stage === "dead") assert.strictEqual(world.announced.get(taskId), version)
      }
      return
    }
    for (const { stage, taskId } of states) {
      if (stage !== "parked") continue
      const acted = yield* Effect.orDie(healthy.store.act(taskId, world.newEventId(), { _tag: "RunNow" }))
      // It is too late to let it go on.
      if (acted._tag === "Done") continue
      yield* Effect.orDie(healthy.store.act(taskId, world.newEventId(), { _tag: "Cancel", reason: null }))
    }
    yield* Effect.orDie(healthy.store.expire(1_000))
    yield* Effect.orDie(healthy.store.expireTasks(1_000))
    yield* TestClock.adjust(5_000)
    world.claimed.length = 0
    world.started.length = 0
    yield* actions.claim(world, healthy, 3)
    yield* Effect.forEach(world.claimed, (_, index) => actions.start(world, healthy, index))
    yield* Effect.forEach(world.started, (_, index) => actions.finish(world, healthy, index * outcomes.length))
  }
  assert.fail(`some task has not ended after ${roundsMax} rounds`)
})

const of = <A>(list: ReadonlyArray<A>, pick: number): A => {
  const chosen = list[pick % list.length]
  if (chosen === undefined) throw new Error("there is nothing to choose from")
  return chosen
}
