/** What the doctor says of one thing that is not as it should be. */
export type Finding = {
  /** Id of the check that found it. */
  readonly check: string
  /** A problem keeps tasks, or the promise about them, from what it should be, and makes the command fail; a warning may be meant. */
  readonly severity: "problem" | "warning"
  /** What is wrong and what that costs, in a sentence or two. */
  readonly sentence: string
  /** The figures it was judged by. */
  readonly evidence: Readonly<Record<string, unknown>>
  /** What to know before the commands are run, or to do where no command can. */
  readonly advice: string
  /** Run in this order, they mend it. */
  readonly commands: ReadonlyArray<Remedy>
}

export type Remedy = {
  /** `sql`: a statement for the database; `shell`: a command line. */
  readonly run: "sql" | "shell"
  readonly command: string
}

export const sql = (command: string): Remedy => ({ run: "sql", command })
export const shell = (command: string): Remedy => ({ run: "shell", command })

export const identifier = (name: string): string => `"${name.replaceAll('"', '""')}"`
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** A word of a command line as a shell reads it. */
export const word = (text: string): string => (/^[\w./:@=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`)
