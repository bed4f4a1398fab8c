import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { StoreUnavailable } from "../../../src/store/StoreError.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import { pgStore } from "./world.ts"

layer(pgStore("embedded"), { excludeTestServices: true, timeout: 60_000 })("a connection that breaks", (it) => {
  it.effect("in the middle of a transaction is an unavailable store, and no defect of the ROLLBACK", () =>
    Effect.gen(function* () {
      const store = yield* TaskStore
      const sql = yield* PgClient.PgClient
      const broken = store.finishWith(sql`SELECT pg_terminate_backend(pg_backend_pid())`, () =>
        assert.fail("the transaction is over")
      )
      const error = yield* Effect.flip(broken)
      assert.instanceOf(error, StoreUnavailable)
      assert.deepInclude(error, { operation: "finishWith", commitUnknown: true })
    })
  )
})
