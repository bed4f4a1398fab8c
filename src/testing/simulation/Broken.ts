import type { StoredStream } from "../../store/TaskStore.ts"

/** A sentence that a history breaks, by the ids of the reliability study (`docs/explain/proof.md`). */
export type Broken = {
  readonly id: string
  readonly taskId: string | null
  readonly message: string
  /** Ms of the history at which it was seen to break; absent: it was found when the history was over. */
  readonly atMs?: number
}

export const streamsById = (streams: ReadonlyArray<StoredStream>): ReadonlyMap<string, StoredStream> =>
  new Map(streams.map((stream) => [stream.taskId, stream]))

export const kindOf = ({ events }: StoredStream): string | null => {
  const born = events[0]
  return born?._tag === "TaskScheduled" ? born.kind : null
}
