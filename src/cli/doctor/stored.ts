import type { PartitionVitals, SchemaVitals, TableVitals } from "../../store/Vitals.ts"
import { counted } from "../render/table.ts"
import { type Finding, shell, sql } from "./Finding.ts"

/** Judgements about tables: that they are there, as they should be, and not full of what is dead. */

const dayMs = 86_400_000
/** Below it a table is read in a millisecond however many of its rows are dead. */
const deadRowsMin = 20_000
/** Dead rows for each living one. Autovacuum begins at a fifth, and takes its time. */
const deadPerLiveMax = 1

export const migrations = ({ applied, fits, known }: SchemaVitals): ReadonlyArray<Finding> => {
  if (applied === known) return []
  const isNewer = applied > known
  return [
    {
      check: "migrations",
      severity: fits ? "warning" : "problem",
      sentence: fits
        ? `The database is at migration ${applied}, and this duetime knows ${known}: the tables were only added to, so it goes on, and may be rolled out or back.`
        : isNewer
          ? `The database is at migration ${applied}, and this duetime knows ${known}: it is the older one and must not write.`
          : applied === 0
            ? "The database has no tables of duetime yet."
            : `The database is at migration ${applied}, and this duetime needs ${known}: engines and workers of this version refuse to start.`,
      evidence: { applied, known },
      advice: isNewer ? "Install the duetime that made it, here too." : "See first what would change with --dry-run.",
      commands: [shell(isNewer ? "npm install duetime@latest" : "duetime migrate")]
    }
  ]
}

export const schema = ({ differences }: SchemaVitals): ReadonlyArray<Finding> =>
  differences.map(({ difference, object, statements }) => ({
    check: "schema",
    severity: difference === "extra" ? "warning" : "problem",
    sentence: `The ${object} ${
      difference === "missing"
        ? "is missing from the database: statements fail without it, or read everything"
        : difference === "extra"
          ? "is in the database and no migration has made it"
          : "is not what the migrations made it"
    }.`,
    evidence: { object, difference },
    advice:
      difference === "extra"
        ? "If somebody needs it, it belongs into a schema of its own. The command removes it with what is in it."
        : "Somebody has changed the schema by hand, or a restore was incomplete: run duetime audit afterwards.",
    commands: statements.map(sql)
  }))

/** @param daysAhead a day that is missing nearer than that is a problem, one behind it a warning */
export const partitions = ({ atMs, steps }: PartitionVitals, daysAhead: number): ReadonlyArray<Finding> =>
  steps.map(({ fromMs, partitions: names, step, table }) => {
    const isNear = fromMs < atMs + daysAhead * dayMs
    const sentence =
      step === "make"
        ? `duetime.${table} has no partition for ${names.slice(0, namesMax).join(", ")}${names.length > namesMax ? ` and ${names.length - namesMax} more` : ""}: what falls into ${names.length === 1 ? "it" : "them"} is refused.`
        : step === "split"
          ? `A partition of duetime.${table} that has come near is not split into its days yet, so they cannot be dropped one by one.`
          : `A day of duetime.${table} is over and not retired yet (${names.join(", ")}).`
    return {
      check: "partitions",
      severity: step === "make" && isNear ? "problem" : "warning",
      sentence,
      evidence: { table, step, partitions: names },
      advice:
        "Engines do this once a minute, so look why none does: is one running, and does a long transaction block it? Where roles own the tables, it is the owner's job.",
      commands: [shell("duetime partitions ensure")]
    } satisfies Finding
  })

const namesMax = 3

export const bloat = (tables: ReadonlyArray<TableVitals>): ReadonlyArray<Finding> =>
  tables.flatMap((table): ReadonlyArray<Finding> => [
    ...(table.isAutovacuumed
      ? []
      : [
          {
            check: "bloat",
            severity: "problem",
            sentence: `Autovacuum is turned off for duetime.${table.name}: its dead rows stay.`,
            evidence: { ...table },
            advice: "",
            commands: [sql(`ALTER TABLE duetime.${table.name} RESET (autovacuum_enabled)`)]
          } satisfies Finding
        ]),
    ...(table.deadRows < deadRowsMin || table.deadRows < table.liveRows * deadPerLiveMax
      ? []
      : [
          {
            check: "bloat",
            severity: "problem",
            sentence: `duetime.${table.name} has ${counted(table.deadRows, "dead row")} beside ${table.liveRows.toLocaleString("en-US")} living: whoever looks for the next due task reads past them.`,
            evidence: { ...table },
            advice: "If the check named snapshot has findings, mend those first: nothing can be removed before.",
            commands: [sql(`VACUUM (ANALYZE) duetime.${table.name}`)]
          } satisfies Finding
        ])
  ])
