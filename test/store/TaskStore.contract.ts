/**
 * The laws of the store's port, the same for every adapter. They never wait for time to pass: due times lie in the
 * past or far ahead of the store's own clock, and leases end by `StoreControl`. After each law the whole database is
 * audited, so a law also fails for what it did not look at.
 */
import { assert, layer } from "@effect/vitest"
import { Effect, type Layer } from "effect"
import { describe } from "vitest"
import { actLaws } from "./contract/actLaws.ts"
import { calendarLaws } from "./contract/calendarLaws.ts"
import { capLaws } from "./contract/capLaws.ts"
import { claimLaws } from "./contract/claimLaws.ts"
import { deathLaws } from "./contract/deathLaws.ts"
import { deadGroupLaws } from "./contract/deadGroupLaws.ts"
import { deadLaws } from "./contract/deadLaws.ts"
import { endLaws } from "./contract/endLaws.ts"
import { expireLaws } from "./contract/expireLaws.ts"
import { expiryLaws } from "./contract/expiryLaws.ts"
import { faultLaws } from "./contract/faultLaws.ts"
import { finishLaws } from "./contract/finishLaws.ts"
import { finishWithLaws } from "./contract/finishWithLaws.ts"
import { followLaws } from "./contract/followLaws.ts"
import { keyExpiryLaws } from "./contract/keyExpiryLaws.ts"
import { pauseLaws } from "./contract/pauseLaws.ts"
import { pullLaws } from "./contract/pullLaws.ts"
import { readLaws } from "./contract/readLaws.ts"
import { reconcileLaws } from "./contract/reconcileLaws.ts"
import { largeBatchLaws, scheduleLaws } from "./contract/scheduleLaws.ts"
import { startDueLaws } from "./contract/startDueLaws.ts"
import { startLaws } from "./contract/startLaws.ts"
import { traceLaws } from "./contract/traceLaws.ts"
import { assertAuditIsGreen, type Law, StoreControl, type World } from "./contract/world.ts"

const chapters: ReadonlyArray<readonly [string, (law: Law) => void]> = [
  ["schedule", scheduleLaws],
  ["a key that expires", keyExpiryLaws],
  ["claim and release", claimLaws],
  ["start due", startDueLaws],
  ["pull", pullLaws],
  ["start", startLaws],
  ["finish", finishLaws],
  ["a retry by a calendar", calendarLaws],
  ["finishWith", finishWithLaws],
  ["expire", expireLaws],
  ["a task that expires", expiryLaws],
  ["deaths", deathLaws],
  ["reconcile", reconcileLaws],
  ["act", actLaws],
  ["what follows an end", followLaws],
  ["a task in a trace", traceLaws],
  ["pause", pauseLaws],
  ["caps", capLaws],
  ["relaying dead letters", deadLaws],
  ["triage of dead letters", deadGroupLaws],
  ["ends", endLaws],
  ["reading", readLaws],
  ["lost requests and answers", faultLaws],
  ["large batches", largeBatchLaws]
]

/** Runs every law against one store, on the live clock. */
export const taskStoreContract = <E>(name: string, store: Layer.Layer<World, E>): void => {
  describe(name, () => {
    layer(store, { excludeTestServices: true, timeout: 60_000 })("keeps the laws of", (it) => {
      for (const [chapter, laws] of chapters) {
        describe(chapter, () => {
          laws((law, body) =>
            it.effect(law, () =>
              // A store without promises would run all laws in one turn of the event loop, and no lease be renewed.
              Effect.yieldNow.pipe(
                Effect.andThen(Effect.suspend(body)),
                Effect.tap(() => assertAuditIsGreen)
              )
            )
          )
        })
      }

      it.effect("and when all laws have run, every row is the fold of its events, column by column", () =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* (yield* StoreControl).auditRows, [])
        })
      )
    })
  })
}

export { StoreControl } from "./contract/world.ts"
