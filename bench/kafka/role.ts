import { Schema } from "effect"
import { Task } from "../../src/index.ts"

/** What a process of the fleet does, as it is given to `roleProcess.ts`; and the kinds that both sides define alike. */
export const KindSpec = Schema.Struct({
  kind: Schema.String,
  queue: Schema.String,
  priority: Schema.Literals(["critical", "high", "normal", "low"]),
  /** How long a handler holds its slot; 0: it returns at once. */
  handlerMs: Schema.Finite,
  /** Cap on the starts of the kind over the whole fleet; null: none. */
  startsPerSecondMax: Schema.NullOr(Schema.Finite)
})
export type KindSpec = typeof KindSpec.Type

export const Role = Schema.Struct({
  engine: Schema.Boolean,
  /** Null: no worker. */
  worker: Schema.NullOr(Schema.Struct({ kinds: Schema.Array(KindSpec), concurrency: Schema.Finite }))
})
export type Role = typeof Role.Type

export const roleOfText = Schema.decodeSync(Schema.fromJsonString(Role))

export const kindSpec = (kind: string, options: Partial<KindSpec> = {}): KindSpec => ({
  kind,
  queue: "bench",
  priority: "normal",
  handlerMs: 0,
  startsPerSecondMax: null,
  ...options
})

export const define = ({ kind, priority, queue, startsPerSecondMax }: KindSpec) =>
  Task.define(kind, {
    payload: { n: Schema.Finite },
    queue,
    priority,
    ...(startsPerSecondMax === null ? {} : { caps: { perSecond: startsPerSecondMax } })
  })

export const engineOnly: Role = { engine: true, worker: null }
export const workerOf = (kinds: ReadonlyArray<KindSpec>, concurrency: number): Role => ({
  engine: false,
  worker: { kinds, concurrency }
})
export const bothOf = (kinds: ReadonlyArray<KindSpec>, concurrency: number): Role => ({
  engine: true,
  worker: { kinds, concurrency }
})
