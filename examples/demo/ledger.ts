/**
 * A file of JSON lines that only grows: what the outside world of the demo remembers, also after kill -9.
 *
 * `append` returns when the line is on disk. Lines that come while a sync is under way share the next one, so a
 * thousand callers cost a few syncs. A line torn by a kill was never acknowledged; opening the ledger cuts it off.
 */
import * as fs from "node:fs"

export type Ledger<Entry> = {
  readonly append: (entry: Entry) => Promise<void>
}

/** Opens the ledger, hands every entry it holds to `replay` in order, and is ready to grow. */
export const openLedger = <Entry>(file: string, replay: (entry: Entry) => void = () => {}): Ledger<Entry> => {
  const descriptor = fs.openSync(file, "a+")
  fs.ftruncateSync(descriptor, wholeLinesOf(file).length)
  for (const entry of readLedger<Entry>(file)) replay(entry)

  let waiting: Array<Waiting> = []
  let isWriting = false
  const write = () => {
    const batch = waiting
    if (batch.length === 0) {
      isWriting = false
      return
    }
    isWriting = true
    waiting = []
    const settle = (error: Error | null) => {
      for (const { reject, resolve } of batch) {
        if (error === null) resolve()
        else reject(error)
      }
      write()
    }
    fs.appendFile(descriptor, batch.map(({ line }) => line).join(""), (error) =>
      error === null ? fs.fdatasync(descriptor, settle) : settle(error)
    )
  }

  return {
    append: (entry) =>
      new Promise((resolve, reject) => {
        waiting.push({ line: `${JSON.stringify(entry)}\n`, resolve, reject })
        if (!isWriting) write()
      })
  }
}

/** All whole entries of a ledger, whoever is writing to it; none if it does not exist. */
export const readLedger = <Entry>(file: string): ReadonlyArray<Entry> => {
  if (!fs.existsSync(file)) return []
  const lines = wholeLinesOf(file).toString("utf8").split("\n").slice(0, -1)
  return lines.map((line) => JSON.parse(line) as Entry)
}

type Waiting = { readonly line: string; readonly resolve: () => void; readonly reject: (error: Error) => void }

const newline = 10

const wholeLinesOf = (file: string): Buffer => {
  const bytes = fs.readFileSync(file)
  return bytes.subarray(0, bytes.lastIndexOf(newline) + 1)
}
