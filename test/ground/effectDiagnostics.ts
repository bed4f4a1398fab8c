/**
 * Runs the Effect language service over the whole project: floating effects, a missing `yield*`, removed APIs. It exits 0 when it
 * found no file to check (a lost plugin entry in tsconfig.json is enough), so here that is an error.
 */
import { spawnSync } from "node:child_process"
import * as path from "node:path"

interface Report {
  readonly diagnostics: ReadonlyArray<{
    readonly file: string
    readonly line: number
    readonly column: number
    readonly severity: string
    readonly name: string
    readonly message: string
  }>
  readonly summary: { readonly filesChecked: number; readonly totalFiles: number; readonly errors: number }
}

const run = spawnSync(
  path.join("node_modules", ".bin", "effect-tsgo"),
  ["diagnostics", "--project", "tsconfig.json", "--format", "json", "--severity", "error,warning"],
  { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 }
)
if (run.error !== undefined || run.stdout === "") {
  console.error(`effect-tsgo did not run: ${run.error?.message ?? run.stderr}`)
  process.exit(1)
}
const report = JSON.parse(run.stdout) as Report
for (const { file, line, column, severity, name, message } of report.diagnostics) {
  console.error(`${path.relative(".", file)}:${line}:${column} ${severity} ${name}: ${message}`)
}
const { errors, filesChecked, totalFiles } = report.summary
console.log(`effect-tsgo checked ${filesChecked} of ${totalFiles} files: ${errors} errors.`)
if (filesChecked === 0 || filesChecked < totalFiles) {
  console.error("Not every file was checked. Is the @effect/language-service plugin still in tsconfig.json?")
}
process.exit(errors === 0 && filesChecked > 0 && filesChecked === totalFiles && run.status === 0 ? 0 : 1)
