/** A tasks module whose handlers hold a connection of the application's pool each, all at once. */
import { Effect } from "effect"
import { Task } from "../../../src/index.ts"

const Slow = Task.define("slow-commit", { payload: {}, queue: "commits" })

export const tasks = Slow.handle((_, attempt) => attempt.commit((sql) => Effect.asVoid(sql`SELECT pg_sleep(0.2)`)))
