/** Each process of the fleet reaches each store by a line of its own, so that a fault may meet one of them or all. */
import { Effect } from "effect"
import type * as net from "node:net"
import type { Place, Store } from "./Action.ts"
import { Line } from "./Line.ts"

export type Lines = Readonly<Record<Store, Line>>
export type Network = Effect.Success<ReturnType<typeof openNetwork>>

/** Where the stores listen, for the n-th process. They may not have started yet. */
export type Upstreams = Readonly<Record<Store, (n: number) => net.NetConnectOpts>>

export const openNetwork = Effect.fnUntraced(function* (processesCount: number, upstreams: Upstreams) {
  const lines: ReadonlyArray<Lines> = yield* Effect.forEach(
    Array.from({ length: processesCount }, (_, n) => n),
    (n) =>
      Effect.all({
        PostgreSQL: Line.open(() => upstreams.PostgreSQL(n)),
        Kafka: Line.open(() => upstreams.Kafka(n))
      })
  )
  return {
    of: (n: number) => lines[n],
    /** Those of one process, or of all. */
    to: (store: Store, place: Place): ReadonlyArray<Line> =>
      (place === "all" ? lines : lines.slice(place % processesCount, (place % processesCount) + 1)).map(
        (own) => own[store]
      ),
    ports: (store: Store): ReadonlyArray<number> => lines.map((own) => own[store].port)
  }
})
