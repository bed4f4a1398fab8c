import type { Claimed, ClaimRequest, Finished, Started, StartDueRequest, StartRequest } from "../../store/TaskStore.ts"

/** Sees what passes between the nodes and their servers at the moment when it does. */
export type Witness = {
  /** A dispatch, a letter or a log line, for others to read. */
  readonly leaves: (where: string, what: unknown) => void
  readonly claimed: (request: ClaimRequest, claimed: Claimed) => void
  readonly started: (
    sessionId: number,
    batch: ReadonlyArray<StartRequest>,
    answers: ReadonlyArray<{ readonly _tag: string }>
  ) => void
  readonly startedDue: (request: StartDueRequest, answers: ReadonlyArray<Started>) => void
  readonly finished: (answers: ReadonlyArray<Finished>) => void
}
