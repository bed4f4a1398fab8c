import type { ServerVitals, SnapshotHolder } from "../../store/Vitals.ts"
import { oneLine } from "../render/text.ts"
import { span } from "../render/time.ts"
import { type Finding, identifier, literal, type Remedy, sql, shell } from "./Finding.ts"

/** Judgements about the server: what it keeps, what it can keep up, and who stands in its way. */

/** Above it what an application computes by this machine's clock is wrong by more than most drifts. */
const clockOffsetMsMax = 1_000
/** Of the connections that ordinary accounts may open. */
const connectionsShareWarned = 0.8
const connectionsShareMax = 0.95

type Setting = ServerVitals["settings"][number]

const losses: Readonly<Record<string, string>> = {
  fsync: "a crash of the machine may leave the database beyond repair",
  full_page_writes: "a crash of the machine may leave half-written pages in it",
  synchronous_commit: "a crash of the server loses tasks that it had already acknowledged"
}

/** @param isAllowed the operator has said so with DUETIME_UNSAFE_DURABILITY */
export const durability = (server: ServerVitals, isAllowed: boolean): ReadonlyArray<Finding> =>
  server.settings.flatMap((setting): ReadonlyArray<Finding> => {
    const loss = losses[setting.name]
    if (loss === undefined || setting.value !== "off") return []
    return [
      {
        check: "durability",
        severity: isAllowed ? "warning" : "problem",
        sentence: `${setting.name} is off: ${loss}${isAllowed ? ", which DUETIME_UNSAFE_DURABILITY allows" : ", so engines and workers refuse to start"}.`,
        evidence: { setting: setting.name, value: setting.value, source: setting.source },
        advice: adviceOf(setting),
        commands: turnOn(setting, server.database)
      }
    ]
  })

export const autovacuum = (server: ServerVitals): ReadonlyArray<Finding> =>
  server.settings.flatMap((setting): ReadonlyArray<Finding> => {
    if (setting.name !== "autovacuum" || setting.value !== "off") return []
    return [
      {
        check: "autovacuum",
        severity: "problem",
        sentence: "autovacuum is off: dead rows stay, and claims become slower from hour to hour.",
        evidence: { setting: setting.name, value: setting.value, source: setting.source },
        advice: adviceOf(setting),
        commands: turnOn(setting, server.database)
      }
    ]
  })

/** The server reads a change of its file when it is told to; sessions take over what their account or database says when they begin. */
const turnOn = ({ account, name, source }: Setting, database: string): ReadonlyArray<Remedy> => {
  switch (source) {
    case "database":
      return [sql(`ALTER DATABASE ${identifier(database)} RESET ${name}`)]
    case "user":
      return [sql(`ALTER ROLE ${identifier(account)} RESET ${name}`)]
    case "database user":
      return [sql(`ALTER ROLE ${identifier(account)} IN DATABASE ${identifier(database)} RESET ${name}`)]
    case "command line":
    case "environment variable":
    case "client":
      return []
    default:
      return [sql(`ALTER SYSTEM SET ${name} = 'on'`), sql("SELECT pg_reload_conf()")]
  }
}

const adviceOf = ({ name, source }: Setting): string => {
  switch (source) {
    case "command line":
    case "environment variable":
      return `The server was started with it (${source}): start it again without.`
    case "client":
      return `DUETIME_DATABASE_URL or PGOPTIONS turns it off: take ${name} out of it.`
    case "database":
    case "user":
    case "database user":
      return "Sessions that are open keep what they have: restart engines and workers afterwards."
    default:
      return "Open sessions take it over at once."
  }
}

export const clockOffset = ({ clockOffsetMs }: ServerVitals): ReadonlyArray<Finding> =>
  Math.abs(clockOffsetMs) <= clockOffsetMsMax
    ? []
    : [
        {
          check: "clock",
          severity: "warning",
          sentence: `This machine's clock is ${span(clockOffsetMs)} ${clockOffsetMs > 0 ? "behind" : "ahead of"} the database's, which decides what is due: due times and logs made here are off by as much.`,
          evidence: { clockOffsetMs, clockOffsetMsMax },
          advice: "Synchronise both machines, with chrony or any other NTP client.",
          commands: [shell("timedatectl set-ntp true")]
        }
      ]

export const connections = ({ applications, connectionsMax }: ServerVitals): ReadonlyArray<Finding> => {
  const open = applications.reduce((sum, { count }) => sum + count, 0)
  if (open < connectionsMax * connectionsShareWarned) return []
  const idlest = applications.toSorted((left, right) => right.idleCount - left.idleCount)[0]
  return [
    {
      check: "connections",
      severity: open >= connectionsMax * connectionsShareMax ? "problem" : "warning",
      sentence: `${open} of the ${connectionsMax} connections that accounts may open are taken${idlest === undefined ? "" : `, ${idlest.idleCount} of them idle ones of ${nameOf(idlest.application)}`}: when none is left, no process can start, and those that reconnect stand still.`,
      evidence: { open, connectionsMax, applications: applications.slice(0, 10) },
      advice:
        "The command closes connections that do nothing; a pool opens them again when it needs them. For good, lower the pools (DUETIME_DATABASE_CONNECTIONS) or raise max_connections.",
      commands:
        idlest === undefined || idlest.idleCount === 0
          ? []
          : [
              sql(
                `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = ${literal(idlest.application)} AND state = 'idle' AND pid <> pg_backend_pid()`
              )
            ]
    }
  ]
}

/**
 * Each process has one connection for its lease, by which they are counted; what else it may open, it opens when it has much to do.
 * @param perProcess as this process is configured: others are taken to be like it
 */
export const connectionBudget = (
  { applications, connectionsMax }: ServerVitals,
  perProcess: number
): ReadonlyArray<Finding> => {
  const ofOthers = applications
    .filter(({ application }) => !application.startsWith("duetime"))
    .reduce((sum, { count }) => sum + count, 0)
  const processes = applications.find(({ application }) => application === "duetime-session")?.count ?? 0
  const mayOpen = processes * perProcess
  if (mayOpen + ofOthers <= connectionsMax) return []
  return [
    {
      check: "connections",
      severity: "warning",
      sentence: `${processes} processes of duetime may open ${perProcess} connections each, ${mayOpen} in all, and others hold ${ofOthers}: more than the ${connectionsMax} that accounts may open, so under load some would be refused.`,
      evidence: { processes, perProcess, mayOpen, ofOthers, connectionsMax },
      advice:
        "Lower DUETIME_DATABASE_CONNECTIONS where few handlers use the database, or raise max_connections, which takes a restart of the server.",
      commands: [sql(`ALTER SYSTEM SET max_connections = ${roundedUp(mayOpen + ofOthers + reservedConnections)}`)]
    }
  ]
}

/** Of superusers, and for tools. */
const reservedConnections = 10
const roundedUp = (count: number): number => Math.ceil(count / 50) * 50

/** @param olderThanMs transactions younger than it are none of the doctor's business */
export const snapshots = (holders: ReadonlyArray<SnapshotHolder>, olderThanMs: number): ReadonlyArray<Finding> =>
  holders.flatMap((holder): ReadonlyArray<Finding> => {
    if (holder._tag !== "Slot" && holder.sinceMs < olderThanMs) return []
    const cost = "no row of any table that has died since can be removed, so claims become slower and tables grow."
    const evidence = { ...holder }
    const found = { check: "snapshot", severity: "problem", evidence } as const
    switch (holder._tag) {
      case "Connection":
        return [
          {
            ...found,
            sentence: `${nameOf(holder.application)} (pid ${holder.name}, ${holder.state}) has had a transaction open for ${span(holder.sinceMs)}: ${cost}`,
            advice: `Its last statement: ${oneLine(holder.query)}. The command ends the connection and undoes the transaction.`,
            commands: [sql(`SELECT pg_terminate_backend(${holder.name})`)]
          }
        ]
      case "Prepared":
        return [
          {
            ...found,
            sentence: `The transaction ${literal(holder.name)} of ${holder.application} was prepared ${span(holder.sinceMs)} ago and never ended: ${cost}`,
            advice: "Ask its transaction manager first whether it is to be committed: COMMIT PREPARED instead.",
            commands: [sql(`ROLLBACK PREPARED ${literal(holder.name)}`)]
          }
        ]
      case "Slot":
        return [
          {
            ...found,
            sentence: `Nobody reads the replication slot ${literal(holder.name)}, ${holder.sinceMs.toLocaleString("en-US")} transactions old: ${cost}`,
            advice: "If its replica is to come back, start that instead.",
            commands: [sql(`SELECT pg_drop_replication_slot(${literal(holder.name)})`)]
          }
        ]
    }
  })

const nameOf = (application: string): string =>
  application === "" ? "a program without a name" : oneLine(application, 60)
