import * as Schema from "effect/Schema"

/** What the application's process tells `duetime dev`, over the channel that Node opens between them. */
export const Message = Schema.TaggedUnion({
  /** A module of the user's that it is made of, and that is to be watched. */
  Loaded: { file: Schema.String },
  /** All parts run. */
  Started: {
    kinds: Schema.Array(
      Schema.Struct({
        name: Schema.String,
        /** Whether `{}` is a payload of it. */
        takesNothing: Schema.Boolean
      })
    )
  },
  /** An attempt is over, and the task stands at `stage`; "lost" if somebody else had moved the task. */
  Ended: {
    taskId: Schema.String,
    kind: Schema.String,
    attempt: Schema.Int,
    stage: Schema.String,
    /** From the due time to the start. */
    driftMs: Schema.Finite,
    /** From the call of the handler to the recorded outcome. */
    tookMs: Schema.Finite
  }
})
export type Message = typeof Message.Type
export type ServedKind = Extract<Message, { readonly _tag: "Started" }>["kinds"][number]
export type Ended = Extract<Message, { readonly _tag: "Ended" }>
