/**
 * Loaded before a program with `node --import`: the process ends when the channel to its parent closes, which the kernel does
 * even for a parent that was killed. So nothing outlives the harness, and the program need not know of it.
 */
import { isMainThread } from "node:worker_threads"

if (isMainThread && process.channel !== undefined) {
  process.on("disconnect", () => process.exit(1))
  process.channel?.unref()
}
