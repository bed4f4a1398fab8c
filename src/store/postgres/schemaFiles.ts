import { readdirSync, readFileSync } from "node:fs"

/** The SQL files of `schema/`, which lies beside `src` and `dist` alike. */
const schemaDirectory = new URL("../../../schema/", import.meta.url)

export const fileNames = (): ReadonlyArray<string> => readdirSync(schemaDirectory)

export const statementsIn = (file: string): ReadonlyArray<string> =>
  splitStatements(readFileSync(new URL(file, schemaDirectory), "utf8"))

/**
 * Statements of a file: split at semicolons that end a line, outside of $$ bodies, since the extended protocol takes
 * one statement at a time.
 */
const splitStatements = (text: string): ReadonlyArray<string> => {
  const statements: Array<string> = []
  let statement = ""
  let inBody = false
  for (const line of text.split("\n")) {
    if (!inBody && statement.trim() === "" && line.trimStart().startsWith("--")) continue
    statement += `${line}\n`
    if ((line.match(/\$\$/g)?.length ?? 0) % 2 === 1) inBody = !inBody
    if (!inBody && line.trimEnd().endsWith(";")) {
      statements.push(statement.trim().slice(0, -1))
      statement = ""
    }
  }
  if (statement.trim() !== "") statements.push(statement.trim())
  return statements
}
