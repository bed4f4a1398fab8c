import { PgClient } from "@effect/sql-pg"
import { Clock, Context, Effect, Layer } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import { RecurrenceStore } from "../RecurrenceStore.ts"
import { leaseMsDefault, Session } from "../Session.ts"
import type {
  SchemaNewer,
  SchemaOutdated,
  ServerTooOld,
  StoreUnavailable,
  TimeZonesOutdated,
  UnsafeDurability
} from "../StoreError.ts"
import { TaskStore } from "../TaskStore.ts"
import { checkTimeZones } from "../timeZones.ts"
import { make as makeAct } from "./act.ts"
import { dayMs } from "./byDay.ts"
import { make as makeClaim } from "./claim.ts"
import { make as makeClock } from "./DatabaseClock.ts"
import { make as makeDeadGroups } from "./deadGroups.ts"
import { make as makeEnds } from "./ends.ts"
import { make as makeExpire } from "./expire.ts"
import { make as makeExpireTasks } from "./expireTasks.ts"
import { make as makeKinds } from "./Kinds.ts"
import * as Migrations from "./Migrations.ts"
import { ownClient } from "./ownClient.ts"
import { retentionDaysDefault } from "./partitionPlan.ts"
import { make as makePartitions } from "./Partitions.ts"
import { make as makePause } from "./pause.ts"
import { make as makeSession } from "./PgSession.ts"
import { make as makePull } from "./pull.ts"
import { make as makeRecurrences } from "./PgRecurrenceStore.ts"
import { make as makeReads } from "./read.ts"
import { make as makeRelayDead } from "./relayDead.ts"
import { make as makeSchedule } from "./schedule.ts"
import { checkDurability, warnOfLostSettings } from "./serverChecks.ts"
import { make as makeSettle } from "./settle.ts"
import { orUnavailable } from "./sqlErrors.ts"
import { make as makeStart } from "./start.ts"
import { make as makeStartDue } from "./startDue.ts"
import { make as makeTakeParked } from "./takeParked.ts"
import { make as makeWakeUps } from "./WakeUps.ts"

/**
 * The store on PostgreSQL. It stands on the application's own `PgClient`, so that scheduling and transactional handlers
 * join the application's transactions, and opens a second small pool with the same address for claims, starts and
 * outcomes, whose statements carry timeouts that the application's need not have.
 */
export type PgStoreOptions = {
  /** Default 5 s, 1 s to 5 min. */
  readonly leaseMs?: number
  /** Days that history of ended tasks is kept. Default 14, 1 to 30. */
  readonly retentionDays?: number
  /** Connections for claims, starts and outcomes. Default 6. */
  readonly connectionsMax?: number
  /** Apply pending migrations at the start. Default false. */
  readonly migrate?: boolean
  /** Run on a server that may lose acknowledged commits. Default false. */
  readonly unsafeDurability?: boolean
}

export const connectionsMaxDefault = 6

type BuildError = StoreUnavailable | ServerTooOld | SchemaOutdated | SchemaNewer | UnsafeDurability | TimeZonesOutdated

const make = Effect.fnUntraced(function* (options: PgStoreOptions) {
  yield* checkTimeZones
  const ambient = yield* PgClient.PgClient
  yield* (options.migrate === true ? Migrations.migrate : Migrations.check).pipe(
    Effect.provideService(SqlClient, ambient)
  )
  if (options.unsafeDurability !== true) yield* checkDurability(ambient)
  const own = yield* ownClient(ambient, options.connectionsMax ?? connectionsMaxDefault).pipe(orUnavailable("connect"))
  yield* warnOfLostSettings(own)

  const kinds = makeKinds(own)
  const ambientKinds = makeKinds(ambient)
  const clock = yield* makeClock(own).pipe(orUnavailable("readClock"))
  const partitions = makePartitions(own, options.retentionDays ?? retentionDaysDefault)
  yield* partitions.ready
  const { claim, claimedBy, lower } = makeClaim({ sql: own, kinds, clock, dueTablesOf: partitions.dueTablesOf })
  const wakeUps = yield* makeWakeUps(own, clock.nowMs, lower)
  const { scheduled } = wakeUps
  const retryInMsMax = () => partitions.horizonMs() - clock.nowMs() - dayMs
  const settle = makeSettle({ sql: own, kinds, nowMs: clock.nowMs, retryInMsMax, scheduled })
  const reads = makeReads({ sql: own, kinds })
  const act = makeAct({ sql: own, kinds, reads, scheduled })
  const ambientReads = makeReads({ sql: ambient, kinds: ambientKinds })
  const ambientAct = makeAct({ sql: ambient, kinds: ambientKinds, reads: ambientReads, scheduled })
  const recurrences = yield* makeRecurrences({
    own: { sql: own, kinds, reads, act },
    ambient: { sql: ambient, kinds: ambientKinds, reads: ambientReads, act: ambientAct },
    wakeUps,
    ledgerFromMs: partitions.ledgerFromMs
  })
  const deadGroups = makeDeadGroups({ sql: own, kinds })
  const systemClock = yield* Clock.Clock

  const store = TaskStore.of({
    clockOffsetMs: () => clock.nowMs() - Number(systemClock.currentTimeNanosUnsafe()) / 1e6,
    schedule: yield* makeSchedule({ sql: ambient, kinds: ambientKinds, horizonMs: partitions.horizonMs, wakeUps }),
    claim,
    claimedBy,
    pull: makePull({ sql: own, kinds }),
    release: settle.release,
    start: makeStart({ sql: own, kinds, eventTableOf: partitions.eventTableOf }),
    ...makeStartDue({
      sql: own,
      kinds,
      clock,
      dueTablesOf: partitions.dueTablesOf,
      eventTableOf: partitions.eventTableOf
    }),
    finish: settle.finish,
    finishWith: makeSettle({ sql: ambient, kinds: ambientKinds, nowMs: clock.nowMs, retryInMsMax, scheduled })
      .finishWith,
    ...makeExpire({ sql: own, kinds, settle: settle.settle, nowMs: clock.nowMs }),
    expireTasks: makeExpireTasks({ sql: own, kinds, reads }),
    takeParked: makeTakeParked({ sql: own, kinds, reads }),
    reconcile: act.reconcile,
    act: ambientAct.act,
    pause: makePause({ sql: own, kinds, scheduled }),
    relayDead: makeRelayDead({ sql: own, kinds }),
    groupDead: deadGroups.groupDead,
    deadGroups: deadGroups.deadGroups,
    history: reads.history,
    ends: makeEnds({ sql: own, kinds }),
    find: reads.find,
    streams: reads.streams,
    kinds: reads.kinds,
    backlog: reads.backlog,
    wakeUps: wakeUps.subscribe,
    maintain: Effect.tap(partitions.maintain, deadGroups.groupSome)
  })
  return { ambient, own, kinds, store, recurrences }
})

/** Stores and session: what engines and workers stand on. */
export const layer = (
  options: PgStoreOptions = {}
): Layer.Layer<TaskStore | RecurrenceStore | Session, BuildError, PgClient.PgClient> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const { ambient, kinds, own, recurrences, store } = yield* make(options)
      const leaseMs = options.leaseMs ?? leaseMsDefault
      const session = yield* makeSession({ client: ambient, sql: own, kinds, leaseMs })
      return Context.make(TaskStore, store).pipe(
        Context.add(RecurrenceStore, recurrences),
        Context.add(Session, session)
      )
    })
  )

/** The stores alone, for programs that schedule and look but run nothing. */
export const layerStore = (
  options: PgStoreOptions = {}
): Layer.Layer<TaskStore | RecurrenceStore, BuildError, PgClient.PgClient> =>
  Layer.effectContext(
    Effect.map(make(options), ({ recurrences, store }) =>
      Context.make(TaskStore, store).pipe(Context.add(RecurrenceStore, recurrences))
    )
  )
