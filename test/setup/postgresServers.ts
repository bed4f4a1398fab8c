/**
 * One throw-away PostgreSQL per run and kind of server: the one from npm, and one of the machine's own (another major version) if
 * there is one. Test files make their databases on it, see database.ts.
 */
import { Effect, Exit, Scope } from "effect"
import { execFileSync } from "node:child_process"
import * as fs from "node:fs"
import * as path from "node:path"
import type { TestProject } from "vitest/node"
import * as EmbeddedPostgres from "../../src/embedded/EmbeddedPostgres.ts"

export type PostgresServer =
  | { readonly _tag: "Running"; readonly socketDirectory: string; readonly port: number; readonly version: string }
  | { readonly _tag: "Absent"; readonly reason: string }

declare module "vitest" {
  interface ProvidedContext {
    embeddedServer: PostgresServer
    systemServer: PostgresServer
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const scope = Scope.makeUnsafe()
  const [embedded, system] = await Effect.runPromise(
    Effect.all([start({}), startSystem], { concurrency: "unbounded" }).pipe(Scope.provide(scope))
  )
  if (system._tag === "Absent") console.warn(`SKIPPED: tests on the machine's own PostgreSQL. ${system.reason}`)
  project.provide("embeddedServer", embedded)
  project.provide("systemServer", system)
  return () => Effect.runPromise(Scope.close(scope, Exit.void))
}

const start = Effect.fnUntraced(function* (options: EmbeddedPostgres.EmbeddedPostgresOptions) {
  const { socketDirectory, port, version } = yield* EmbeddedPostgres.make({
    durability: "none",
    // Every test file holds a pool of its own, and several run at once.
    settings: { max_connections: 200 },
    ...options
  })
  return { _tag: "Running", socketDirectory, port, version } satisfies PostgresServer
})

const startSystem = Effect.suspend((): Effect.Effect<PostgresServer, never, Scope.Scope> => {
  const binDirectory = systemBinDirectory()
  if (binDirectory === undefined) {
    return Effect.succeed({
      _tag: "Absent",
      reason: "No postgres in /usr/lib/postgresql/*/bin or on the PATH; install PostgreSQL 15 or newer to run them."
    })
  }
  return start({ binDirectory }).pipe(
    Effect.catch((error) => Effect.succeed<PostgresServer>({ _tag: "Absent", reason: error.message }))
  )
})

/** Debian keeps the programs of each major version in a folder of its own, off the PATH; the newest wins. */
const systemBinDirectory = (): string | undefined => {
  const debian = "/usr/lib/postgresql"
  const versions = fs.existsSync(debian) ? fs.readdirSync(debian).toSorted((a, b) => Number(b) - Number(a)) : []
  const found = versions
    .map((version) => path.join(debian, version, "bin"))
    .find((directory) => fs.existsSync(path.join(directory, "postgres")))
  if (found !== undefined) return found
  try {
    return path.dirname(fs.realpathSync(execFileSync("which", ["postgres"], { encoding: "utf8" }).trim()))
  } catch {
    return undefined
  }
}
