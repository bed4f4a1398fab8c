/**
 * One folder, one owner: the process whose number and start time stand in the file `owner`.
 *
 * The file appears by link(2): whole or not at all, and for one of two rivals only. A file of a process that no longer
 * lives is taken over. The start time keeps a number that was given to a new process from passing for the old one.
 */
import { Effect, Schema, type Scope } from "effect"
import * as fs from "node:fs"
import * as path from "node:path"
import { isAlive, processStart } from "./ServerProcess.ts"

/** The folder is owned by another living process, or cannot be written. The message ends without a way out beyond that folder. */
export class FolderRefused extends Schema.TaggedError<FolderRefused>()("FolderRefused", {
  folder: Schema.String,
  message: Schema.String
}) {}

/** Rivals for one folder try this often before they give up. */
const attemptsMax = 5

/** Owns the folder until the scope closes; makes it if absent. Fails while another living process owns it. */
export const own = (folder: string): Effect.Effect<void, FolderRefused, Scope.Scope> =>
  Effect.acquireRelease(acquire(folder), () => Effect.sync(() => fs.rmSync(ownerFile(folder), { force: true })))

/** True for a folder whose owner was a process of ours (of our account) that has died. */
export const isAbandonedByUs = (folder: string): boolean => {
  try {
    const file = ownerFile(folder)
    const stat = fs.lstatSync(file)
    if (!stat.isFile() || stat.uid !== process.getuid?.()) return false
    const holder = fs.readFileSync(file, "utf8")
    // Numbers of another container, with which we only share the folder, mean nothing here.
    return holder.split(" ")[2] === processNamespace() && !lives(holder)
  } catch {
    // No owner file yet, or the folder of another user.
    return false
  }
}

const ownerFile = (folder: string): string => path.join(folder, "owner")

const acquire = (folder: string) =>
  Effect.try({
    try: () => {
      makeDurably(folder)
      const file = ownerFile(folder)
      const mine = `${file}.${process.pid}`
      fs.writeFileSync(mine, `${process.pid} ${processStart(process.pid)} ${processNamespace()}`)
      try {
        for (let attempt = 1; attempt <= attemptsMax; attempt++) {
          if (linkIfAbsent(mine, file)) return
          const holder = readIfThere(file)
          if (holder === undefined) continue
          if (lives(holder)) throw new Error(`process ${holder.split(" ")[0]} runs a server on it. Stop that process`)
          removeIfStill(file, holder)
        }
        throw new Error("other processes try to start on it at the same time. Start one only")
      } finally {
        fs.rmSync(mine, { force: true })
      }
    },
    catch: (cause) =>
      new FolderRefused({
        folder,
        message: `The folder ${folder} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}, or choose another folder.`
      })
  })

const lives = (holder: string): boolean => {
  const [processId, start] = holder.split(" ")
  return isAlive(Number(processId)) && processStart(Number(processId)) === start
}

const processNamespace = (): string => {
  try {
    return fs.readlinkSync("/proc/self/ns/pid")
  } catch {
    return "one"
  }
}

/**
 * Makes the folder and what lies above it. A power cut must not take it away from the data that were committed inside it, nor
 * a narrow umask close it to the server's account; the data themselves are in a folder of 0700 that only the account may enter.
 */
const makeDurably = (folder: string): void => {
  const first = fs.mkdirSync(folder, { recursive: true })
  if (first === undefined) return
  for (let made = folder; made.length >= first.length; made = path.dirname(made)) {
    fs.chmodSync(made, 0o755)
    syncFolder(path.dirname(made))
  }
}

export const syncFolder = (folder: string): void => {
  const descriptor = fs.openSync(folder, "r")
  fs.fsyncSync(descriptor)
  fs.closeSync(descriptor)
}

const linkIfAbsent = (existing: string, file: string): boolean => {
  try {
    fs.linkSync(existing, file)
    return true
  } catch (cause) {
    if (hasCode(cause, "EEXIST")) return false
    throw cause
  }
}

/** Two rivals may both find a dead owner; whoever moved away the other's fresh file puts it back. */
const removeIfStill = (file: string, holder: string): void => {
  const moved = `${file}.dead.${process.pid}`
  try {
    fs.renameSync(file, moved)
  } catch (cause) {
    if (hasCode(cause, "ENOENT")) return
    throw cause
  }
  if (readIfThere(moved) !== holder) linkIfAbsent(moved, file)
  fs.rmSync(moved, { force: true })
}

const readIfThere = (file: string): string | undefined => {
  try {
    return fs.readFileSync(file, "utf8")
  } catch {
    return undefined
  }
}

const hasCode = (cause: unknown, code: string): boolean =>
  cause instanceof Error && "code" in cause && cause.code === code
