/**
 * An earlier release of duetime, out of this repository's own history: its sources and tables, with today's packages. A clone without
 * history cannot have it: the suite is then reported as skipped, with the reason in its name.
 */
import { Effect, type Scope } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import { describe } from "vitest"

/** Before dead letters had groups and days were closed: tables of migration 11. */
const commit = "293527f0147646b4dd84fc06847c85f4f0ad6e6c"
export const earlierMigration = 11

/** Registers the suite with a folder in which `src/cli/main.ts` is the earlier one. */
export const onEarlierRelease = (
  name: string,
  suite: (folder: Effect.Effect<string, never, Scope.Scope>) => void
): void => {
  const reason = absence()
  if (reason === null) describe(name, () => suite(checkedOut))
  else describe.skip(`${name} (${reason})`, () => suite(checkedOut))
}

const absence = (): string | null => {
  try {
    execFileSync("git", ["cat-file", "-e", `${commit}^{commit}`], { stdio: "ignore" })
    return null
  } catch {
    return `commit ${commit.slice(0, 7)} is not in this clone: git fetch --unshallow`
  }
}

const checkedOut = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-earlier-"))
    const archive = execFileSync("git", ["archive", commit, "src", "schema", "test/cli/modules", "package.json"], {
      maxBuffer: 64 * 1024 * 1024
    })
    execFileSync("tar", ["-x", "-C", folder], { input: archive })
    fs.symlinkSync(path.resolve("node_modules"), path.join(folder, "node_modules"))
    return folder
  }),
  (folder) => Effect.sync(() => fs.rmSync(folder, { recursive: true, force: true }))
)
