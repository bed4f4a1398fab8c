import type { Examination } from "../doctor/examine.ts"
import type { Finding } from "../doctor/Finding.ts"
import type { Paint } from "./paint.ts"
import { counted } from "./table.ts"

/** Each finding with what mends it below; the commands stand alone on their lines, to be copied. */
export const findingsText = ({ checks, findings, payloadsCount, skipped }: Examination, paint: Paint): string =>
  [
    ...findings.map((finding) => findingText(finding, paint)),
    ...skipped.map(({ check, why }) => paint.quiet(`not looked at: ${check}, ${why}`)),
    ...(payloadsCount === null ? [] : [`${counted(payloadsCount, "pending payload")} looked at`]),
    `${counted(checks.length, "check")}: ${verdict(findings, paint)}`
  ].join("\n")

const findingText = ({ advice, check, commands, sentence, severity }: Finding, paint: Paint): string =>
  [
    `${severity === "problem" ? paint.bad("PROBLEM") : paint.waiting("WARNING")}  ${paint.strong(check)}`,
    `  ${sentence}`,
    ...(advice === "" ? [] : [`  ${advice}`]),
    ...commands.map(({ command, run }) => (run === "sql" ? `    ${command};` : `    $ ${command}`)),
    ""
  ].join("\n")

const verdict = (findings: ReadonlyArray<Finding>, paint: Paint): string => {
  const problems = findings.filter(({ severity }) => severity === "problem").length
  const warnings = findings.length - problems
  return [
    problems === 0 ? paint.good("0 problems") : paint.bad(counted(problems, "problem")),
    ...(warnings === 0 ? [] : [counted(warnings, "warning")])
  ].join(", ")
}
