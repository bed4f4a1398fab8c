/**
 * Goal: a storm of ten thousand dead letters with five causes is five groups, and a redrive in growing batches wastes no more than a
 * fiftieth of a group on a cause that is not mended. Method: a real engine and worker on PostgreSQL, whose handler fails of five things
 * with other numbers, ids and names each time, and of one of them still when the others have been mended.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, Layer, References, Schema } from "effect"
import { DeadLetters, Duetime, Engine, layerPostgres, RetryPolicy, Task, Worker } from "../../src/index.ts"
import { TaskStore } from "../../src/store/TaskStore.ts"
import { database } from "../setup/database.ts"

const lettersCount = 10_000
const causesCount = 5
const ofGroup = lettersCount / causesCount
/** Of a group, when its cause is not mended. */
const wastedMax = ofGroup / 50
const timeoutMs = 300_000

const Charge = Task.define("storm.charge", {
  payload: { cause: Schema.Int, order: Schema.Int },
  retry: RetryPolicy.fixed({ delay: 0, attemptsMax: 1 })
})

const mended = new Set<number>()
let calls = 0

const causes: ReadonlyArray<(order: number) => Error> = [
  (order) => new Error(`order ${order} is not known`),
  (order) => new Error(`customer "Ann ${order}" has no card`),
  (order) => new TypeError(`Cannot read properties of undefined (reading 'card${order}')`),
  (order) => new Error(`connect ECONNREFUSED 10.0.${order % 200}.17:${5_000 + (order % 1_000)}`),
  (order) => new Error(`charge ch_9s8d7f6g${order} took ${order}.5 ms at 2027-01-31T09:00:0${order % 10}Z`)
]

const handler = Charge.handle(({ cause, order }) => {
  calls++
  const error = mended.has(cause) ? undefined : causes[cause]?.(order)
  return error === undefined ? Effect.void : Effect.fail(error)
})

const ground = handler.pipe(
  Layer.provideMerge(Layer.mergeAll(Worker.layer({ concurrency: 200 }), Engine.layer)),
  Layer.provideMerge(layerPostgres({ migrate: true, unsafeDurability: true })),
  Layer.provideMerge(database()),
  // Ten thousand warnings of dead letters say nothing here.
  Layer.provide(Layer.succeed(References.MinimumLogLevel, "Error"))
)

layer(ground, { excludeTestServices: true, timeout: timeoutMs })("a storm of dead letters", (it) => {
  it.effect(
    "is a group per cause, and a ramp stops itself where the cause is not mended",
    () =>
      Effect.gen(function* () {
        const deadLetters = yield* DeadLetters
        const duetime = yield* Duetime
        yield* duetime.scheduleMany(
          Charge,
          Array.from({ length: lettersCount }, (_, order) => ({ payload: { cause: order % causesCount, order } }))
        )
        while ((yield* deadLetters.count()) < lettersCount) yield* Effect.sleep(100)

        const groups = yield* deadLetters.groups()
        assert.deepStrictEqual(
          groups.map(({ count, kind }) => [kind, count]),
          Array.from({ length: causesCount }, () => [Charge.kind, ofGroup])
        )
        assert.strictEqual(new Set(groups.map(({ group }) => group)).size, causesCount)

        for (const cause of [1, 2, 3, 4]) mended.add(cause)
        const groupOf = (words: string) => groups.find(({ cause }) => cause.includes(words))?.group ?? ""
        const before = calls
        const stopped = yield* deadLetters.ramp(groupOf("is not known"))
        assert.strictEqual(stopped.stopped?.reason, "failures")
        assert.isAtMost(stopped.redriven, wastedMax)
        // It stops as soon as too many have failed, before the last of the batch has.
        while ((yield* deadLetters.count({ group: stopped.group })) < ofGroup) yield* Effect.sleep(20)
        assert.strictEqual(calls - before, stopped.redriven, "each that was redriven was called once")

        assert.deepStrictEqual(yield* deadLetters.redriveAll({ group: groupOf("has no card") }), {
          done: ofGroup,
          skipped: 0
        })
        yield* deadLetters.redriveAll({ group: groupOf("ECONNREFUSED") })
        assert.deepStrictEqual(
          yield* deadLetters.discardAll({ group: groupOf("TypeError") }, "nobody waits for them"),
          {
            done: ofGroup,
            skipped: 0
          }
        )
        const left = (yield* deadLetters.groups()).map(({ group }) => group).toSorted()
        assert.deepStrictEqual(left, [stopped.group, groupOf("took")].toSorted())

        mended.add(0)
        const first = yield* deadLetters.ramp(stopped.group, { after: stopped.after ?? undefined })
        assert.deepStrictEqual(
          [first.stopped, first.redriven, first.succeeded, first.failed],
          [null, ofGroup - stopped.redriven, ofGroup - stopped.redriven, 0],
          "goes on behind it, to the end"
        )
        const rest = yield* deadLetters.ramp(stopped.group)
        assert.deepStrictEqual([rest.stopped, rest.redriven], [null, stopped.redriven])
        yield* Effect.log(
          `${stopped.redriven} of ${stopped.count} (${(100 * stopped.redriven) / stopped.count} %) were spent on the cause that was not mended`
        )
      }),
    timeoutMs
  )

  it.effect("that nobody serves any more stops a ramp, too, which says so", () =>
    Effect.gen(function* () {
      const deadLetters = yield* DeadLetters
      const duetime = yield* Duetime
      const [group] = yield* deadLetters.groups({ kind: Charge.kind })
      yield* duetime.pause({ kind: Charge.kind })
      const end = yield* deadLetters.ramp(group?.group ?? "", { waitMsMax: 1_000 })
      assert.strictEqual(end.stopped?.reason, "no-outcomes")
      assert.isAtMost(end.redriven, 10)
      assert.strictEqual(end.succeeded + end.failed, 0)
      yield* duetime.resume({ kind: Charge.kind })
    })
  )

  it.effect("is not asked about with what makes no sense", () =>
    Effect.gen(function* () {
      const deadLetters = yield* DeadLetters
      const refusals = [
        deadLetters.groups({ limit: 0 }),
        deadLetters.groups({ group: "no group" }),
        deadLetters.redriveAll({ kind: "No Kind" }),
        deadLetters.discardAll({}, ""),
        deadLetters.ramp("0123456789ab", { failureShareMax: 2 }),
        deadLetters.ramp("0123456789ab", { waitMsMax: 1 })
      ]
      for (const refusal of refusals) {
        const error: { readonly _tag: string } = yield* Effect.flip<unknown, { readonly _tag: string }, never>(refusal)
        assert.strictEqual(error._tag, "OptionsRejected")
      }
      assert.strictEqual((yield* (yield* TaskStore).deadGroups({ limit: 10 })).length > 0, true)
    })
  )
})
