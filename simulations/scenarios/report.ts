/** What a run over the legs says to people. */
import { brokenText, timelineOf } from "../world/report.ts"
import type { Leg } from "../../src/testing/simulation/LegCut.ts"
import type { Ran } from "./crashAt.ts"
import type { LegFailure, LegsOfScenario } from "./runLegs.ts"

export const replayOf = (scenario: string, legNumbers: ReadonlyArray<number>, mutant?: string): string =>
  `npm run simulate:legs -- --scenario ${scenario} --leg ${legNumbers.length === 0 ? "0" : legNumbers.join(",")}${
    mutant === undefined ? "" : ` --mutant ${mutant}`
  }`

const legText = ({ leg, operation, owner }: Leg): string => `${owner} ${operation}.${leg}`

export const tableText = (rows: ReadonlyArray<LegsOfScenario>): string =>
  [
    "scenario             legs  crashes   pairs  failed",
    ...rows.map(
      ({ crashedCount, failuresCount, legsCount, name, pairsCount, what }) =>
        `${name.padEnd(18)} ${String(legsCount).padStart(6)} ${String(crashedCount).padStart(8)} ${String(pairsCount).padStart(7)} ${String(failuresCount).padStart(7)}  ${what}`
    ),
    ""
  ].join("\n")

export const failuresText = (failures: ReadonlyArray<LegFailure>, mutant?: string): string =>
  failures
    .flatMap(({ broken, cut, legNumbers, scenario }) => [
      `${scenario} breaks ${broken.length} sentences, crashed at ${cut.map(legText).join(" and ") || "no leg"}:`,
      ...broken.slice(0, brokenMax).map(brokenText),
      `Again: ${replayOf(scenario, legNumbers, mutant)}`,
      ""
    ])
    .join("\n")

/** One run in full: where somebody died and what became of every task. */
export const runText = (scenario: string, legNumbers: ReadonlyArray<number>, ran: Ran): string =>
  [
    `${scenario}: ${ran.legs.length} legs, crashed at ${ran.cut.map((leg, index) => `${legNumbers[index]} (${legText(leg)})`).join(" and ") || "none"}`,
    ...ran.broken.map(brokenText),
    ...ran.outcome.streams.flatMap(({ taskId }) => [`Task ${taskId}:`, ...timelineOf(ran, taskId)]),
    ""
  ].join("\n")

const brokenMax = 8
