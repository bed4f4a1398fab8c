import { assert, describe } from "@effect/vitest"
import { Effect, Exit, Layer, Logger, Option, References, Schema, Tracer } from "effect"
import { Duetime } from "../../src/Duetime.ts"
import * as RetryPolicy from "../../src/RetryPolicy.ts"
import * as Task from "../../src/Task.ts"
import { asCaller, Spans, treeOf } from "../setup/spans.ts"
import { itRuns, passMs } from "./process.ts"

const Charge = Task.define("charge-card", {
  payload: { secret: Schema.String },
  queue: "payments",
  retry: RetryPolicy.fixed({ delay: "1 second", attemptsMax: 3 })
})
const payload = { secret: "4111 1111 1111 1111" }

class Declined extends Error {
  override readonly name = "Declined"
}

/** Fails at its first attempt, and quotes the payload as it does. */
const failsOnce = Charge.handle(({ secret }, { number }) =>
  number === 1 ? Effect.fail(new Declined(`declined ${secret}`)) : Effect.withSpan(Effect.void, "POST /charges")
)

const story = (number: number) => [
  "    dispatch charge-card",
  "    attempt charge-card",
  ...(number === 1 ? [] : ["      POST /charges"]),
  "      record charge-card"
]

describe("a trace", () => {
  itRuns("shows a task that failed once and then succeeded, from its caller to its outcome", () => {
    const spans = new Spans()
    return {
      handlers: failsOnce,
      around: spans.layer,
      test: Effect.gen(function* () {
        const { id } = yield* asCaller(Charge.schedule(payload, { in: "2 seconds" }))
        yield* passMs(10_000)
        assert.deepStrictEqual(treeOf(spans.ended), ["caller", "  schedule charge-card", ...story(1), ...story(2)])
        assert.strictEqual(new Set(spans.ended.map(({ traceId }) => traceId)).size, 1)

        const [first, second] = spans.named("attempt charge-card")
        const lane = { "duetime.kind": "charge-card", "duetime.queue": "payments", "duetime.priority": "normal" }
        assert.deepInclude(Object.fromEntries(first?.attributes ?? []), {
          ...lane,
          "duetime.task.id": id,
          "duetime.attempt": 1,
          "duetime.outcome": "failed",
          "duetime.stage": "pending",
          "error.type": "Declined",
          "duetime.drift_ms": 0,
          "duetime.claim_lag_ms": 0,
          "duetime.dispatch_lag_ms": 0,
          "duetime.delivery_lag_ms": 0
        })
        assert.deepInclude(Object.fromEntries(second?.attributes ?? []), {
          "duetime.attempt": 2,
          "duetime.outcome": "succeeded",
          "duetime.stage": "succeeded"
        })
        const exits = [first, second].map((span) => (span?.status._tag === "Ended" ? span.status.exit : null))
        assert.deepStrictEqual(
          exits.map((exit) => exit !== null && Exit.isSuccess(exit)),
          [false, true]
        )
        const facts = spans.ended.map(({ attributes, status }) => [...attributes, status])
        assert.notInclude(
          JSON.stringify(facts, (_, value) => (typeof value === "bigint" ? 0 : value)),
          payload.secret
        )
      })
    }
  })

  itRuns("that its caller does not sample has no span anywhere", () => {
    const spans = new Spans()
    const unsampled = Tracer.externalSpan({ traceId: "a".repeat(32), spanId: "b".repeat(16), sampled: false })
    let parent: Tracer.AnySpan | undefined
    return {
      handlers: Charge.handle(() =>
        Effect.map(Effect.serviceOption(Tracer.ParentSpan), (span) => {
          parent = Option.getOrUndefined(span)
        })
      ),
      around: spans.layer,
      test: Effect.gen(function* () {
        yield* Charge.schedule(payload).pipe(Effect.withParentSpan(unsampled))
        yield* passMs(1_000)
        assert.deepStrictEqual(spans.ended, [])
        assert.deepInclude(parent, { traceId: unsampled.traceId, sampled: false })
      })
    }
  })

  itRuns(
    "of what nobody traced begins with the attempt, and what follows it belongs to the trace of its caller",
    () => {
      const spans = new Spans()
      const Receipt = Task.define("send-receipt", { payload: {} })
      return {
        handlers: Layer.mergeAll(
          Charge.handle(() => Effect.void),
          Receipt.handle(() => Effect.void)
        ),
        around: spans.layer,
        test: Effect.gen(function* () {
          yield* Charge.schedule(payload).pipe(Effect.provideService(References.TracerEnabled, false))
          yield* passMs(1_000)
          assert.deepStrictEqual(treeOf(spans.ended), ["attempt charge-card", "  record charge-card"])
          spans.ended.length = 0
          yield* asCaller(Charge.schedule(payload, { onSuccess: Receipt.follow({}) }))
          yield* passMs(1_000)
          const [, , ...following] = treeOf(spans.ended)
          assert.deepStrictEqual(following, [
            "    dispatch charge-card",
            "    attempt charge-card",
            "      record charge-card",
            "    dispatch send-receipt",
            "    attempt send-receipt",
            "      record send-receipt"
          ])
        })
      }
    }
  )

  itRuns(
    "is nobody's when no tracer is installed: nothing is stored with the task, and handlers have no parent",
    () => {
      let hasParent = true
      return {
        handlers: Charge.handle(() =>
          Effect.map(Effect.serviceOption(Tracer.ParentSpan), (span) => {
            hasParent = Option.isSome(span)
          })
        ),
        test: Effect.gen(function* () {
          const { id } = yield* asCaller(Charge.schedule(payload))
          yield* passMs(1_000)
          const [born] = yield* Duetime.use((duetime) => duetime.history(id))
          assert.notProperty(born, "traceparent")
          assert.isFalse(hasParent)
        })
      }
    }
  )

  itRuns("continues that of a caller with another tracer, and is told to handlers with another one", () => {
    const spans = new Spans()
    const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`
    const told: Array<string | null> = []
    return {
      handlers: Charge.handleAsync((_, attempt) => {
        told.push(attempt.traceparent)
        return Promise.resolve()
      }),
      around: spans.layer,
      test: Effect.gen(function* () {
        yield* asCaller(Charge.schedule(payload, { traceparent }))
        yield* Charge.scheduleMany([{ payload, traceparent }])
        const error = yield* Effect.flip(Charge.schedule(payload, { traceparent: "00-1-2-3" }))
        assert.match(error.message, /^OptionsRejected: traceparent is '00-1-2-3'/)
        yield* passMs(1_000)
        const attempts = spans.named("attempt charge-card")
        assert.deepStrictEqual(
          attempts.map(({ parent, traceId }) => [traceId, Option.getOrThrow(parent).spanId]),
          [1, 2].map(() => ["a".repeat(32), "b".repeat(16)])
        )
        assert.sameMembers(
          told,
          attempts.map(({ spanId, traceId }) => `00-${traceId}-${spanId}-01`)
        )
      })
    }
  })

  itRuns("is named by the log of its handlers, beside task, kind and attempt", () => {
    const spans = new Spans()
    const annotations: Array<unknown> = []
    const logger = Logger.make(({ fiber, message }) => {
      if (String(message) === "charging") annotations.push(fiber.getRef(References.CurrentLogAnnotations))
    })
    return {
      handlers: Charge.handle(() => Effect.logInfo("charging")),
      around: Layer.merge(spans.layer, Logger.layer([logger])),
      test: Effect.gen(function* () {
        const { id } = yield* asCaller(Charge.schedule(payload))
        yield* passMs(1_000)
        const traceId = spans.named("attempt charge-card")[0]?.traceId
        assert.deepStrictEqual(annotations, [{ taskId: id, kind: "charge-card", attempt: 1, traceId }])
      })
    }
  })
})
