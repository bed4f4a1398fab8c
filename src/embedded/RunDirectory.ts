/**
 * The temporary folder of one running server: its socket, and its data if they need not stay. It goes away with the scope; what
 * a killed process left is removed by the next start, together with a server that may still work in it. Of data that stay it has the
 * same name at each start, so that an address in a shell, an editor or an `.env` goes on to hold.
 */
import { Effect } from "effect"
import { createHash } from "node:crypto"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as Owner from "./Owner.ts"
import type { ServerAccount } from "./ServerAccount.ts"

/** A socket's whole path may have 107 bytes; `/duetime-postgres-XXXXXX/.s.PGSQL.5432.lock` takes 43 of them. */
const parentLengthMax = 64
/** As many as mkdtemp puts behind the prefix. */
const nameLength = 6
/** One start tidies up after at most so many killed ones. */
const leftoversMax = 32

export const make = Effect.fnUntraced(function* (server: {
  /** Each kind of server tidies up after its own kind. */
  readonly kind: "postgres" | "kafka"
  readonly account: ServerAccount
  readonly stopLeftover: (folder: string) => Effect.Effect<void>
  /** Of data that stay; without, they lie in the run directory. */
  readonly dataDirectory?: string | undefined
}) {
  const { account, dataDirectory } = server
  const prefix = `duetime-${server.kind}-`
  yield* removeLeftovers(prefix, server.stopLeftover)
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => {
      const made = makeNamedFor(dataDirectory, prefix) ?? fs.mkdtempSync(path.join(parent(), prefix))
      if (account.ids !== undefined) fs.chownSync(made, account.ids.uid, account.ids.gid)
      return made
    }),
    (made) => Effect.sync(() => remove(made))
  )
  yield* Owner.own(folder)
  return folder
})

/**
 * 0700, as mkdtemp makes it: that keeps everybody else from a server that trusts whoever connects. Undefined: somebody has the name,
 * who may be anybody in a folder that all may write to, and what is in there is not ours to use.
 */
const makeNamedFor = (dataDirectory: string | undefined, prefix: string): string | undefined => {
  if (dataDirectory === undefined) return undefined
  const digest = createHash("sha256").update(dataDirectory).digest("hex").slice(0, nameLength)
  const folder = path.join(parent(), `${prefix}${digest}`)
  try {
    fs.mkdirSync(folder, { mode: 0o700 })
    return folder
  } catch {
    return undefined
  }
}

const removeLeftovers = Effect.fnUntraced(function* (
  prefix: string,
  stopLeftover: (folder: string) => Effect.Effect<void>
) {
  const leftovers = fs
    .readdirSync(parent())
    .filter((name) => name.startsWith(prefix))
    .map((name) => path.join(parent(), name))
    .filter(Owner.isAbandonedByUs)
  for (const leftover of leftovers.slice(0, leftoversMax)) {
    yield* stopLeftover(leftover)
    yield* Effect.sync(() => remove(leftover))
  }
})

const parent = (): string => (os.tmpdir().length <= parentLengthMax ? os.tmpdir() : "/tmp")

const remove = (folder: string): void => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
