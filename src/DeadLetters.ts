import { Context, DateTime, Effect, Layer } from "effect"
import { fingerprintOf, isGroup } from "./core/fingerprint.ts"
import type { AttemptError, DeadReason } from "./core/TaskEvent.ts"
import type { TaskId } from "./core/TaskId.ts"
import { namesOf } from "./core/unknownName.ts"
import { type ActError, Duetime } from "./Duetime.ts"
import type { OptionsRejected } from "./DuetimeError.ts"
import { checkedReason } from "./clientInput.ts"
import { groupWayOut } from "./FindOptions.ts"
import { nameOf, rejected, unknownOption } from "./optionValues.ts"
import { rampedRedrive, type RampEnd, type RampOptions } from "./rampedRedrive.ts"
import type { StoreUnavailable } from "./store/StoreError.ts"
import { batchSizeMax, TaskStore } from "./store/TaskStore.ts"

export type { Ramp, RampEnd, RampOptions, RampProgress } from "./rampedRedrive.ts"

/**
 * Dead letters by their causes, and what is done to many of them at once. A group is the letters of one kind with one error: by
 * its name, its message without numbers, ids and quoted texts, and the place that threw it (docs/guide/dead-letters.md). One letter
 * alone is looked at, redriven and discarded with `Duetime`.
 */
export class DeadLetters extends Context.Service<
  DeadLetters,
  {
    /** The groups, the largest first, 1 to 1,000; default 100. Letters that nobody has grouped yet are grouped before. */
    readonly groups: (filter?: GroupsFilter) => Effect.Effect<ReadonlyArray<DeadGroupView>, DeadLettersError>
    /** How many there are. */
    readonly count: (filter?: DeadLettersFilter) => Effect.Effect<number, DeadLettersError>
    /** Gives each that is dead by now all its attempts again, due now. Those that die again meanwhile are left. */
    readonly redriveAll: (filter: DeadLettersFilter) => Effect.Effect<BulkDone, DeadLettersError>
    /** Ends each that is dead by now for good. */
    readonly discardAll: (filter: DeadLettersFilter, reason: string) => Effect.Effect<BulkDone, DeadLettersError>
    /**
     * Redrives one group in growing batches, each when the outcomes of the one before are known, and stops when failures return:
     * the rule is told by `Ramp`. An interrupted one is gone on with by the same call: what it has redriven is not dead any more.
     */
    readonly ramp: (group: string, options?: RampOptions) => Effect.Effect<RampEnd, DeadLettersError>
  }
>()("duetime/DeadLetters") {
  static readonly layer: Layer.Layer<DeadLetters, never, Duetime | TaskStore> = Layer.effect(
    DeadLetters,
    Effect.suspend(() => make)
  )
}

/** All that are given must fit; none given: every dead letter. */
export type DeadLettersFilter = { readonly kind?: string | undefined; readonly group?: string | undefined }
type GroupsFilter = DeadLettersFilter & { readonly limit?: number | undefined }

const filterNames = namesOf<DeadLettersFilter>({ kind: true, group: true })
const groupsFilterNames = namesOf<GroupsFilter>({ kind: true, group: true, limit: true })

export type DeadGroupView = {
  /** Its name: twelve hexadecimal digits. */
  readonly group: string
  readonly kind: string
  /** `CardDeclined: card <id> was declined (charge at src/cards.ts)`. */
  readonly cause: string
  readonly count: number
  readonly firstSeenAt: Date
  readonly lastSeenAt: Date
  /** One of them. */
  readonly sample: { readonly id: TaskId; readonly reason: DeadReason; readonly error: AttemptError }
}

export type BulkDone = {
  readonly done: number
  /** Somebody else was quicker, the task has expired, or its day was dropped. */
  readonly skipped: number
}

export type DeadLettersError = OptionsRejected | StoreUnavailable

export const groupsLimitDefault = 100
const groupsLimitMax = 1_000
/** Letters looked up per page, and moved at a time. */
const pageSize = 500
const movesInParallel = 8

const make = Effect.gen(function* () {
  const store = yield* TaskStore
  const duetime = yield* Duetime

  /** A name that is misspelt would be no filter, and every dead letter meant. */
  const checked = (filter: DeadLettersFilter, names = filterNames): Effect.Effect<void, OptionsRejected> => {
    const unknown = unknownOption(filter, names)
    if (unknown !== null) return Effect.fail(unknown)
    const { group, kind } = filter
    if (group !== undefined && !isGroup(group)) return Effect.fail(rejected("group", group, groupWayOut))
    return kind === undefined ? Effect.void : Effect.asVoid(Effect.fromResult(nameOf("kind", kind)))
  }

  /** What another process is at is grouped by it. */
  const groupAll = Effect.gen(function* () {
    while ((yield* store.groupDead(batchSizeMax)) === batchSizeMax);
  })

  const groups = Effect.fnUntraced(function* (asked: GroupsFilter = {}) {
    yield* checked(asked, groupsFilterNames)
    const { limit = groupsLimitDefault, ...filter } = asked
    if (!Number.isInteger(limit) || limit < 1 || limit > groupsLimitMax) {
      return yield* rejected("limit", limit, `Give a whole number from 1 to ${groupsLimitMax}`)
    }
    yield* groupAll
    const found = yield* store.deadGroups({ ...filter, limit })
    return found.map(({ firstDeadAtMs, lastDeadAtMs, sample, ...group }): DeadGroupView => ({
      group: group.group,
      kind: group.kind,
      cause: fingerprintOf(group.kind, sample.error).cause,
      count: group.count,
      firstSeenAt: dateAt(firstDeadAtMs),
      lastSeenAt: dateAt(lastDeadAtMs),
      sample: { id: sample.taskId, reason: sample.reason, error: sample.error }
    }))
  })

  /** By a cursor behind the last id, so that letters that die meanwhile cannot keep the loop going round. */
  const eachPage = Effect.fnUntraced(function* <E>(
    filter: DeadLettersFilter,
    visit: (ids: ReadonlyArray<TaskId>) => Effect.Effect<unknown, E>
  ) {
    yield* checked(filter)
    if (filter.group !== undefined) yield* groupAll
    let after: string | undefined
    do {
      const page: { readonly tasks: ReadonlyArray<{ readonly taskId: TaskId }>; readonly next: string | null } =
        yield* store.find({ stage: "dead", ...filter, limit: pageSize, after })
      yield* visit(page.tasks.map(({ taskId }) => taskId))
      after = page.next ?? undefined
    } while (after !== undefined)
  })

  const moveAll = Effect.fnUntraced(function* (
    filter: DeadLettersFilter,
    move: (id: TaskId) => Effect.Effect<unknown, ActError>
  ) {
    let done = 0
    let skipped = 0
    const moved = (id: TaskId) =>
      move(id).pipe(
        Effect.tap(() => Effect.sync(() => done++)),
        Effect.catchTag(["InvalidTransition", "TaskNotFound", "OptionsRejected"], () => Effect.sync(() => skipped++))
      )
    yield* eachPage(filter, (ids) => Effect.forEach(ids, moved, { concurrency: movesInParallel, discard: true }))
    return { done, skipped } satisfies BulkDone
  })

  return DeadLetters.of({
    groups,
    count: Effect.fnUntraced(function* (filter = {}) {
      yield* checked(filter)
      if (filter.group === undefined) {
        const rows = yield* store.backlog
        return rows.reduce((sum, { deadCount, kind }) => sum + ((filter.kind ?? kind) === kind ? deadCount : 0), 0)
      }
      yield* groupAll
      const [found] = yield* store.deadGroups({ ...filter, group: filter.group, limit: 1 })
      return found?.count ?? 0
    }),
    redriveAll: (filter) => moveAll(filter, duetime.redrive),
    discardAll: Effect.fnUntraced(function* (filter, reason) {
      const checkedOnce = yield* checkedReason(reason, 1)
      return yield* moveAll(filter, (id) => duetime.discard(id, checkedOnce))
    }),
    ramp: Effect.fnUntraced(function* (group, options = {}) {
      yield* checked({ group })
      yield* groupAll
      return yield* rampedRedrive({ store, redrive: duetime.redrive, group, options })
    })
  })
})

const dateAt = (atMs: number): Date => DateTime.toDateUtc(DateTime.makeUnsafe(atMs))
