import { Schema } from "effect"
import type { Family } from "./kinds.ts"
import type { Deed, Place } from "./points.ts"

const Name = <A extends string>() => Schema.declare((text): text is A => typeof text === "string")

/** What a process of the points does, as it is given to `processMain.ts`. */
export const Order = Schema.Struct({
  role: Schema.Literals(["engine", "worker"]),
  kinds: Schema.Array(Schema.Struct({ name: Schema.String, family: Name<Family>() })),
  outsideUrl: Schema.String,
  /** Null: it is not hit. */
  arming: Schema.NullOr(
    Schema.Struct({
      points: Schema.Array(
        Schema.Struct({
          point: Schema.String,
          place: Name<Place>(),
          deed: Name<Deed>(),
          kind: Schema.NullOr(Schema.String),
          skip: Schema.Finite
        })
      ),
      hits: Schema.Finite,
      leaseMs: Schema.Finite,
      hitsFile: Schema.String
    })
  )
})
export type Order = typeof Order.Type
