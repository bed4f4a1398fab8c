/**
 * The ports of a process, with a trigger at each point of the protocol. What goes through them is done by the real store and the
 * real broker; the trigger only decides what becomes of the process before and after.
 */
import { Context, Effect, Layer } from "effect"
import { Broker, type Dispatch } from "../../src/broker/Broker.ts"
import { layerFromEnv } from "../../src/layers.ts"
import { StoreUnavailable } from "../../src/store/StoreError.ts"
import { type ClaimedTask, type FinishRequest, TaskStore } from "../../src/store/TaskStore.ts"
import type { Place } from "./points.ts"
import type { Held, Trigger } from "./Trigger.ts"

type Store = TaskStore["Service"]

export const held = (
  taskId: string,
  version: number | null,
  kind: string | null = null,
  eventId: string | null = null
): Held => ({ taskId, version, eventId, kind })

const heldClaim = ({ fence, kind, taskId }: ClaimedTask | Dispatch): Held => held(taskId, fence.version, kind)

const heldOutcome = ({ eventId, started }: FinishRequest): Held =>
  held(started.taskId, started.fence.version, started.kind, eventId)

const unanswered = (operation: string) =>
  new StoreUnavailable({ operation, commitUnknown: true, reason: "the answer was lost on purpose" })

/** At a place after the store has answered. */
const answeredAt =
  (trigger: Trigger) =>
  <A>(place: Place, operation: string, heldOf: (answer: A) => ReadonlyArray<Held>) =>
  <E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | StoreUnavailable, R> =>
    Effect.flatMap(effect, (answer) =>
      Effect.flatMap(trigger.at(place, heldOf(answer)), (isLost) =>
        isLost ? Effect.fail(unanswered(operation)) : Effect.succeed(answer)
      )
    )

/** A claim that is due no sooner is still in the wheel when the engine stops. */
const givenBackAheadMs = 500

/** What both ports of a process know of its tasks. */
type Known = {
  /** Which version each was started at. */
  readonly started: Map<string, number>
  /** Whose hints were taken. */
  readonly kinds: Map<string, string>
}

export const storeWith = (
  store: Store,
  trigger: Trigger,
  { kinds, started }: Known = { kinds: new Map(), started: new Map() }
): Store => {
  const answered = answeredAt(trigger)
  let claimed: ReadonlyArray<Held> = []
  return {
    ...store,
    schedule: (batch) =>
      store
        .schedule(batch)
        .pipe(
          answered("schedule answered", "schedule", () =>
            batch.map(({ eventId, taskId }) => held(taskId, 0, null, eventId))
          )
        ),
    claim: (request) =>
      Effect.andThen(
        Effect.suspend(() => trigger.at("claim asked", claimed)),
        store.claim(request)
      ).pipe(
        answered("claim answered", "claim", ({ tasks }) => tasks.map(heldClaim)),
        Effect.tap(({ tasks }) =>
          Effect.clockWith((clock) =>
            Effect.sync(() => {
              if (tasks.length > 0) claimed = tasks.map(heldClaim)
              const laterMs = clock.currentTimeMillisUnsafe() + store.clockOffsetMs() + givenBackAheadMs
              if (trigger.awaits("released") && tasks.some(({ dueAtMs }) => dueAtMs > laterMs)) {
                process.kill(process.pid, "SIGTERM")
              }
            })
          )
        )
      ),
    pull: (request) => store.pull(request).pipe(answered("pulled", "pull", (tasks) => tasks.map(heldClaim))),
    release: (batch) =>
      store
        .release(batch)
        .pipe(
          answered("released", "release", (answers) =>
            batch.flatMap(({ eventId, taskId }, index) =>
              answers[index] === "Released" ? [held(taskId, null, null, eventId)] : []
            )
          )
        ),
    start: (sessionId, batch) =>
      Effect.andThen(
        Effect.suspend(() =>
          trigger.at(
            "hint taken",
            batch
              .filter(({ dispatchedAtMs }) => dispatchedAtMs !== null)
              .map(({ fence, taskId }) => held(taskId, fence.version, kinds.get(taskId) ?? null))
          )
        ),
        store.start(sessionId, batch)
      ).pipe(
        Effect.tap((answers) =>
          Effect.sync(() => {
            if (!trigger.awaits("acknowledged")) return
            for (const answer of answers)
              if (answer._tag === "Started") started.set(answer.taskId, answer.fence.version)
          })
        ),
        answered("start answered", "start", (answers) =>
          answers.flatMap((answer) =>
            answer._tag === "Started" ? [held(answer.taskId, answer.fence.version, answer.kind)] : []
          )
        )
      ),
    finish: (batch) =>
      Effect.andThen(trigger.at("outcome ready", batch.map(heldOutcome)), store.finish(batch)).pipe(
        answered("outcome recorded", "finish", () => batch.map(heldOutcome)),
        answered("failure recorded", "finish", () =>
          batch.filter(({ outcome }) => outcome._tag === "Fail").map(heldOutcome)
        )
      ),
    finishWith: (effect, request) => {
      const asked: Array<Held> = []
      const written = (value: Parameters<typeof request>[0]) =>
        trigger.meets
          ? trigger.at("outcome asked in its transaction", [heldOutcome(request(value))])
          : Effect.succeed(false)
      return store
        .finishWith(Effect.tap(effect, written), (value) => {
          const outcome = request(value)
          asked.push(heldOutcome(outcome))
          trigger.reach("outcome asked in its transaction", asked)
          return outcome
        })
        .pipe(answered("committed", "finishWith", () => asked))
    },
    expire: (limit, asOfMs) =>
      store
        .expire(limit, asOfMs)
        .pipe(answered("expired", "expire", (expired) => expired.map(({ taskId }) => held(taskId, null)))),
    reconcile: (request) =>
      Effect.andThen(
        trigger.at("answer of the outside ready", [held(request.taskId, request.fence.version, request.policy.kind)]),
        store.reconcile(request)
      )
  }
}

const brokerWith = (broker: Broker["Service"], trigger: Trigger, { kinds, started }: Known): Broker["Service"] => ({
  ...broker,
  publish: (batch) =>
    Effect.suspend(() =>
      trigger.reach("publishing", batch.map(heldClaim))
        ? Effect.succeed(batch.map((): "Published" => "Published"))
        : Effect.tap(broker.publish(batch), () => trigger.at("published", batch.map(heldClaim)))
    ),
  consume: (queue) =>
    Effect.map(broker.consume(queue), (subscription) => ({
      ...subscription,
      // Who is to be hit at a pull takes no hints: so the store is the way on which its work comes.
      take: (room) =>
        trigger.awaits("pulled", queue)
          ? Effect.never
          : Effect.tap(subscription.take(room), (taken) =>
              Effect.sync(() => {
                for (const { kind, taskId } of taken) kinds.set(taskId, kind)
              })
            ),
      acknowledge: (batch) =>
        Effect.tap(subscription.acknowledge(batch), () =>
          trigger.at(
            "acknowledged",
            // Starts that were lost are acknowledged as well.
            batch.flatMap(({ fence, kind, taskId }) =>
              started.get(taskId) === fence.version + 1 ? [held(taskId, fence.version + 1, kind)] : []
            )
          )
        )
    })),
  announceDead: (letters) =>
    Effect.tap(broker.announceDead(letters), () =>
      trigger.at(
        "announced",
        letters.map(({ taskId, version }) => held(taskId, version))
      )
    )
})

/** The composition root of a process as it stands, with a trigger in the ports. */
export const layerWith = (trigger: Trigger) =>
  Layer.effectContext(
    Effect.gen(function* () {
      const store = yield* TaskStore
      const broker = yield* Broker
      const known: Known = { kinds: new Map(), started: new Map() }
      return Context.make(TaskStore, storeWith(store, trigger, known)).pipe(
        Context.add(Broker, brokerWith(broker, trigger, known))
      )
    })
  ).pipe(Layer.provideMerge(layerFromEnv))
