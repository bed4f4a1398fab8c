/**
 * Who runs the server, and how it dies with us.
 *
 * PostgreSQL refuses to run as root, so as root we run it under an existing account with a name: the owner of the data
 * if there is one, else `postgres`, else `nobody`. `setpriv --pdeathsig` asks the kernel to send the server the signal
 * of its clean stop when the thread that started it ends, so even SIGKILL of Node leaves nothing behind. Where there is no
 * such `setpriv` (macOS, busybox) a shell holds a pipe from us and stops the server when the pipe closes.
 */
import { Effect } from "effect"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { EmbeddedPostgresUnavailable } from "./EmbeddedPostgresError.ts"

export interface ServerAccount {
  readonly name: string
  /** Set only when we are root and change to another account. */
  readonly ids: { readonly uid: number; readonly gid: number } | undefined
}

/** Our own account, for a server that runs as root as well. */
export const ours: ServerAccount = { name: `uid ${process.getuid?.() ?? "unknown"}`, ids: undefined }

/** The account for a server whose data belong to `dataOwnerUid` (undefined: no data yet). */
export const choose = Effect.fnUntraced(function* (dataOwnerUid: number | undefined) {
  const uid = process.getuid?.()
  if (uid === undefined) {
    return yield* new EmbeddedPostgresUnavailable({
      platform: process.platform,
      message: `The embedded PostgreSQL does not run on ${process.platform}. Set DUETIME_DATABASE_URL to a PostgreSQL 15 or newer.`
    })
  }
  if (uid !== 0) return { name: `uid ${uid}`, ids: undefined } satisfies ServerAccount
  const accounts = namedAccounts()
  const account =
    accounts.find((candidate) => candidate.ids.uid === dataOwnerUid && dataOwnerUid !== 0) ??
    accounts.find((candidate) => candidate.name === "postgres") ??
    accounts.find((candidate) => candidate.name === "nobody")
  if (account !== undefined) return account
  return yield* new EmbeddedPostgresUnavailable({
    platform: process.platform,
    message:
      "PostgreSQL refuses to run as root, and /etc/passwd has neither an account `postgres` nor `nobody`. " +
      "Run as an ordinary user, add such an account, or set DUETIME_DATABASE_URL."
  })
})

export interface AccountCommand {
  readonly file: string
  readonly args: ReadonlyArray<string>
  readonly options: {
    readonly uid?: number
    readonly gid?: number
    readonly cwd: string
    readonly env: Record<string, string>
  }
}

/** A short-lived command as the account. PG* variables of our own environment must not reach it. */
export const commandAs = (
  account: ServerAccount,
  file: string,
  args: ReadonlyArray<string>,
  cwd = "/"
): AccountCommand => ({
  file,
  args,
  // Node enters `cwd` before it changes the account, so it may be one that only root can reach.
  options: { ...account.ids, cwd, env: { PATH: process.env["PATH"] ?? "", LC_ALL: "C", TZ: "UTC" } }
})

/** A long-lived command as the account, bound to our own life. */
export interface BoundCommand extends AccountCommand {
  /** The command watches a pipe on its standard input and stops when we are gone. */
  readonly watchesPipe: boolean
}

export const boundCommandAs = (
  account: ServerAccount,
  file: string,
  args: ReadonlyArray<string>,
  bond: {
    /** The signal on which the server stops cleanly. */
    readonly signal: "SIGINT" | "SIGTERM"
    readonly cwd?: string
    readonly parentDeathSignal?: boolean
  }
): BoundCommand => {
  const plain = commandAs(account, file, args, bond.cwd)
  const signal = bond.signal.slice("SIG".length)
  if (!(bond.parentDeathSignal ?? hasParentDeathSignal())) {
    return { ...plain, file: "/bin/sh", args: ["-c", stopWhenPipeCloses, signal, file, ...args], watchesPipe: true }
  }
  const { cwd, env } = plain.options
  const change =
    account.ids === undefined ? [] : [`--reuid=${account.ids.uid}`, `--regid=${account.ids.gid}`, "--clear-groups"]
  return {
    file: "setpriv",
    args: [...change, "--pdeathsig", signal, file, ...args],
    options: { cwd, env },
    watchesPipe: false
  }
}

/** `$0` is the signal. The shell leaves a reader of the pipe behind and becomes the server itself, so the process id stays the same. */
const stopWhenPipeCloses = 'exec 3<&0 </dev/null; (read -r _ <&3; kill -"$0" $$) & exec 3<&-; exec "$@"'

let foundParentDeathSignal: boolean | undefined
const hasParentDeathSignal = (): boolean =>
  (foundParentDeathSignal ??= spawnSync("setpriv", ["--pdeathsig", "INT", "true"]).status === 0)

const namedAccounts = () =>
  fs
    .readFileSync("/etc/passwd", "utf8")
    .split("\n")
    .flatMap((line) => {
      const [name, , uid, gid] = line.split(":")
      return name === undefined || uid === undefined || gid === undefined
        ? []
        : [{ name, ids: { uid: Number(uid), gid: Number(gid) } }]
    })
