/**
 * Where programs are kept between runs. Each is filled beside its place and renamed, so that nobody ever meets half a program,
 * and two processes that fill the same one do not disturb each other: the second takes what the first has made.
 */
import { Data, Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

export class CacheUnusable extends Data.TaggedError("CacheUnusable")<{ readonly message: string }> {}

/** Best first. root's own home is closed to other accounts, therefore /var/cache for a program that they run. */
export const candidates = (readers: "every account" | "our account"): ReadonlyArray<string> => {
  const uid = process.getuid?.() ?? -1
  const shared = path.join(os.tmpdir(), `duetime-cache-${uid}`)
  if (uid === 0 && readers === "every account") return ["/var/cache/duetime", shared]
  return [path.join(process.env["XDG_CACHE_HOME"] ?? path.join(os.homedir(), ".cache"), "duetime"), shared]
}

export const firstUsable = (folders: ReadonlyArray<string>): Effect.Effect<string, CacheUnusable> =>
  Effect.suspend(() => {
    const usable = folders.find(isUsable)
    return usable === undefined
      ? Effect.fail(new CacheUnusable({ message: `none of ${folders.join(", ")} is writable for this user alone` }))
      : Effect.succeed(usable)
  })

/** The folder `finished`, filled by `fill` unless it is there already. */
export const fillOnce = <E>(
  finished: string,
  fill: (unfinished: string) => Effect.Effect<void, E>
): Effect.Effect<string, E | CacheUnusable> =>
  Effect.suspend(() =>
    fs.existsSync(finished)
      ? Effect.succeed(finished)
      : Effect.acquireUseRelease(
          attempt(() => fs.mkdtempSync(`${finished}-unfinished-`)),
          (unfinished) => Effect.andThen(fill(unfinished), place(unfinished, finished)),
          (unfinished) => Effect.sync(() => fs.rmSync(unfinished, { recursive: true, force: true }))
        )
  )

/** Opens everything below to every account, whatever the umask was. */
export const makeReadable = (root: string): void => {
  fs.chmodSync(root, 0o755)
  for (const entry of fs.readdirSync(root, { recursive: true, withFileTypes: true })) {
    if (entry.isSymbolicLink()) continue
    const file = path.join(entry.parentPath, entry.name)
    const executable = entry.isDirectory() || (fs.statSync(file).mode & 0o100) !== 0
    fs.chmodSync(file, executable ? 0o755 : 0o644)
  }
}

const place = (unfinished: string, finished: string) =>
  attempt(() => {
    try {
      fs.renameSync(unfinished, finished)
    } catch (cause) {
      // Another process may have finished the same one first.
      if (!fs.existsSync(finished)) throw cause
    }
    return finished
  })

const attempt = <A>(act: () => A) =>
  Effect.try({ try: act, catch: (cause) => new CacheUnusable({ message: String(cause) }) })

/** A cache that others may write to could hand us their program, so it is not used. */
const isUsable = (directory: string): boolean => {
  try {
    fs.mkdirSync(directory, { recursive: true, mode: 0o755 })
    const stat = fs.lstatSync(directory)
    if (!stat.isDirectory() || stat.uid !== process.getuid?.() || (stat.mode & 0o022) !== 0) return false
    fs.accessSync(directory, fs.constants.W_OK)
    // A narrow umask must not close it to the server's account.
    fs.chmodSync(directory, 0o755)
    return true
  } catch {
    return false
  }
}
