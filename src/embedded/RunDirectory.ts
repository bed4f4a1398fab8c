/**
 * The temporary folder of one running server: its socket, and its data if they need not stay. It goes away with the scope; what
 * a killed process left is removed by the next start, together with a server that may still work in it.
 */
import { Effect } from "effect"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"
import * as DataDirectory from "./DataDirectory.ts"
import * as Owner from "./Owner.ts"
import type { ServerAccount } from "./ServerAccount.ts"

const prefix = "duetime-"
/** A socket's whole path may have 107 bytes; `/duetime-XXXXXX/.s.PGSQL.5432.lock` takes 34 of them. */
const parentLengthMax = 73
/** One start tidies up after at most so many killed ones. */
const leftoversMax = 32

export const make = Effect.fnUntraced(function* (account: ServerAccount, stopTimeoutMs: number) {
  yield* removeLeftovers(stopTimeoutMs)
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => {
      // mkdtemp makes it 0700, which keeps everybody else from a server that trusts whoever connects.
      const made = fs.mkdtempSync(path.join(parent(), prefix))
      if (account.ids !== undefined) fs.chownSync(made, account.ids.uid, account.ids.gid)
      return made
    }),
    (made) => Effect.sync(() => remove(made))
  )
  yield* Owner.own(folder)
  return folder
})

const removeLeftovers = Effect.fnUntraced(function* (stopTimeoutMs: number) {
  const leftovers = fs
    .readdirSync(parent())
    .filter((name) => name.startsWith(prefix))
    .map((name) => path.join(parent(), name))
    .filter(Owner.isAbandonedByUs)
  for (const leftover of leftovers.slice(0, leftoversMax)) {
    yield* DataDirectory.stopLeftover(leftover, stopTimeoutMs)
    yield* Effect.sync(() => remove(leftover))
  }
})

const parent = (): string => (os.tmpdir().length <= parentLengthMax ? os.tmpdir() : "/tmp")

const remove = (folder: string): void => fs.rmSync(folder, { recursive: true, force: true, maxRetries: 3 })
