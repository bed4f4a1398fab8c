import { PgClient } from "@effect/sql-pg"
import { assert, layer } from "@effect/vitest"
import { Effect, Layer } from "effect"
import { eventCodes } from "../../../src/core/TaskEvent.ts"
import * as PgTaskStore from "../../../src/store/postgres/PgTaskStore.ts"
import { TaskStore } from "../../../src/store/TaskStore.ts"
import { database } from "../../setup/database.ts"

const store = PgTaskStore.layerStore({ migrate: true, unsafeDurability: true }).pipe(Layer.provideMerge(database()))
const eventsCount = 250_000

layer(store, { excludeTestServices: true, timeout: 60_000 })("pages of ended tasks", (it) => {
  it.effect("look through a long history piece by piece, until there is nothing behind it", () =>
    Effect.gen(function* () {
      const sql = yield* PgClient.PgClient
      yield* sql`INSERT INTO duetime.kind (name) VALUES ('count')`
      const { TaskCancelled, TaskScheduled } = eventCodes
      yield* sql.unsafe(`INSERT INTO duetime.event (task_id, version, type, event_id, at, kind_id, priority, due_at, data)
        SELECT (lpad(to_hex((extract(epoch FROM now()) * 1000)::int8), 12, '0') || '7abc8' || lpad(to_hex(n), 15, '0'))::uuid, version,
          CASE version WHEN 1 THEN ${TaskScheduled} ELSE ${TaskCancelled} END, gen_random_uuid(), now(), 1, 0, now(), '1'
        FROM generate_series(1, ${eventsCount}) n, generate_series(1, CASE WHEN n IN (7, ${eventsCount}) THEN 2 ELSE 1 END) version`)
      const { find } = yield* TaskStore
      const pages: Array<number> = []
      let after: string | undefined
      do {
        const page: { readonly tasks: ReadonlyArray<object>; readonly next: string | null } = yield* find({
          stage: "cancelled",
          kind: "count",
          limit: 10,
          after
        })
        pages.push(page.tasks.length)
        after = page.next ?? undefined
      } while (after !== undefined)
      assert.deepStrictEqual(pages, [1, 1])
    })
  )
})
