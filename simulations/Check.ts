/** One sentence that a run has to make true, as it stands in the documents and the texts of all simulations. */
export type Check = {
  /** Short and lasting: what a list of breakages names it by. */
  readonly id: string
  readonly name: string
  readonly ok: boolean
  readonly detail: string
  /** The first few of what is wrong. */
  readonly problems: ReadonlyArray<string>
}

export const problemsMax = 5

export const check = (
  id: string,
  name: string,
  ok: boolean,
  detail: string,
  problems: ReadonlyArray<string> = []
): Check => ({ id, name, ok, detail, problems: problems.slice(0, problemsMax) })

/** For people; the last lines of a report. */
export const checkLines = (checks: ReadonlyArray<Check>): ReadonlyArray<string> => [
  ...checks.flatMap(({ detail, name, ok, problems }) => [
    `${ok ? "ok  " : "FAIL"}     ${name}: ${detail}`,
    ...problems.map((problem) => `           ${problem}`)
  ]),
  "",
  checks.every(({ ok }) => ok) ? "All of it holds." : "Not all of it holds.",
  ""
]
