import { type Check, check, checkLines } from "../Check.ts"
import type { Difference } from "./replay.ts"
import type { KafkaJudged } from "./replayedKafka.ts"
import type { Replays } from "./run.ts"

export type ReplayReport = {
  readonly ok: boolean
  readonly isInterrupted: boolean
  readonly seed: number
  readonly histories: number
  readonly steps: number
  readonly tasks: number
  readonly events: number
  readonly dispatches: number
  readonly failovers: number
  readonly seconds: number
  /** Calls of the servers, by name. */
  readonly calls: Readonly<Record<string, number>>
  readonly kafka: KafkaJudged | null
  readonly differences: ReadonlyArray<Difference & { readonly seed: number; readonly command: string }>
  readonly checks: ReadonlyArray<Check>
}

export type Asked = {
  readonly runs: number
  readonly seed: number
  readonly isWithKafka: boolean
  readonly mutant?: string | undefined
}

export const reportOf = (
  asked: Asked,
  { kafka, replayed }: Replays,
  seconds: number,
  isInterrupted: boolean
): ReplayReport => {
  const differences = replayed.flatMap(({ difference, seed }) =>
    difference === null ? [] : [{ seed, ...difference, command: commandOf(seed, asked) }]
  )
  const calls = new Map<string, number>()
  for (const one of replayed) for (const [name, count] of one.calls) calls.set(name, (calls.get(name) ?? 0) + count)
  const sum = (of: (one: Replays["replayed"][number]) => number) => replayed.reduce((total, one) => total + of(one), 0)
  const events = sum(({ eventsCount }) => eventsCount)
  const problemsOf = (isMeant: (where: string) => boolean) =>
    differences.filter(({ where }) => isMeant(where)).map(({ seed, what, where }) => `seed ${seed}, ${where}: ${what}`)
  const ofPostgres = problemsOf((where) => !judgements.has(where) && where !== "Kafka")
  const ofJudges = problemsOf((where) => judgements.has(where))
  const ofKafka = [...problemsOf((where) => where === "Kafka"), ...(kafka?.problems ?? [])]
  const callsCount = [...calls.values()].reduce((total, count) => total + count, 0)
  const checks = [
    check(
      "servers-agree",
      "PostgreSQL gave the simulation's answers, events, projections and ledgers, call by call",
      ofPostgres.length === 0,
      `${callsCount} calls of ${replayed.length} histories`,
      ofPostgres
    ),
    check(
      "audit",
      "the auditor finds nothing in the real database, and its rows are those of a rebuild",
      ofJudges.length === 0,
      `${events} events`,
      ofJudges
    ),
    ...(asked.isWithKafka
      ? [
          check(
            "kafka-carries",
            "Kafka has each dispatch once and in its partition's order, and members of the group got each at least once",
            ofKafka.length === 0,
            kafka === null ? "not judged: the run was not ended" : kafkaText(kafka),
            ofKafka
          )
        ]
      : [])
  ]
  return {
    ok: !isInterrupted && checks.every(({ ok }) => ok),
    isInterrupted,
    seed: asked.seed,
    histories: replayed.length,
    steps: sum(({ stepsCount }) => stepsCount),
    tasks: sum(({ tasksCount }) => tasksCount),
    events,
    dispatches: sum(({ dispatchesCount }) => dispatchesCount),
    failovers: sum(({ failoversCount }) => failoversCount),
    seconds: Math.round(seconds),
    calls: Object.fromEntries(calls),
    kafka,
    differences,
    checks
  }
}

const judgements = new Set(["audit", "rebuild"])

const kafkaText = ({ heldCount, partitionsCount, publishedCount, rebalancesCount, takenCount }: KafkaJudged): string =>
  `${publishedCount} dispatches in ${partitionsCount} partitions, ${takenCount} given to members, ${heldCount} of them held through ${rebalancesCount} rebalances`

const commandOf = (seed: number, { isWithKafka, mutant }: Asked): string =>
  `npm run simulate:replay -- --runs 1 --seed ${seed}${isWithKafka ? "" : " --no-kafka"}${mutant === undefined ? "" : ` --mutant ${mutant}`}`

export const textOf = (report: ReplayReport): string =>
  [
    `${report.histories} histories of ${report.steps} steps (${report.tasks} tasks, ${report.events} events, ${report.failovers} failovers) in ${report.seconds} s`,
    ...(report.isInterrupted ? ["Stopped before all of it was done."] : []),
    ...report.differences.flatMap(({ call, command, seed, step, what, where }) => [
      "",
      `Seed ${seed}, ${step === null ? "at the end" : `step ${step}, ${call}`}`,
      `  ${where}: ${what}`,
      `Again: ${command}`
    ]),
    "",
    ...checkLines(report.checks)
  ].join("\n")
