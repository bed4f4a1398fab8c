import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as fs from "node:fs"
import * as path from "node:path"

/** Files of one application; those beyond are not watched. */
const filesMax = 5_000
/** Editors write in several steps, and several files at once. */
const settleMs = 50

export type FileWatch = {
  /** Watches this file, too, whether it is there or not. */
  readonly add: (file: string) => void
  /** Waits for a change of any of them after the last one that was waited for. */
  readonly changed: Effect.Effect<void>
}

/** Watches files by their folders: most editors do not write into a file, they put another in its place. */
export const make = Effect.gen(function* () {
  const changes = yield* Queue.sliding<void>(1)
  const files = new Set<string>()
  const watchers = new Map<string, fs.FSWatcher>()
  yield* Effect.addFinalizer(() => Effect.sync(() => watchers.forEach((watcher) => watcher.close())))
  return {
    add: (file) => {
      const folder = path.dirname(file)
      if (files.size >= filesMax || !fs.existsSync(folder)) return
      files.add(file)
      if (watchers.has(folder)) return
      const watcher = fs.watch(folder, (_, name) => {
        if (name === null || files.has(path.join(folder, name))) Queue.offerUnsafe(changes, undefined)
      })
      // A folder that goes away takes its watcher with it.
      watcher.on("error", () => watchers.delete(folder))
      watchers.set(folder, watcher)
    },
    changed: Queue.take(changes).pipe(
      Effect.andThen(Effect.sleep(settleMs)),
      Effect.andThen(Queue.clear(changes)),
      Effect.asVoid
    )
  } satisfies FileWatch
})
