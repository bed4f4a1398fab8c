/** What a demo may leave running: found by the folder that it works in. */
import { assert } from "@effect/vitest"
import * as fs from "node:fs"

/** What is left of a killed demo ends by itself; looked at this often and this long. */
const lookIntervalMs = 50
const goneLooksMax = 400

/** Command lines of living processes that name the folder: servers, sinks, PostgreSQL. */
export const processesOn = (directory: string): ReadonlyArray<string> =>
  fs.readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return []
    try {
      const command = fs.readFileSync(`/proc/${entry}/cmdline`, "utf8").replaceAll("\0", " ")
      return command.includes(directory) ? [command] : []
    } catch {
      return []
    }
  })

export const untilNothingRuns = async (directory: string) => {
  for (let look = 0; look < goneLooksMax && processesOn(directory).length > 0; look++) {
    await new Promise((resolve) => setTimeout(resolve, lookIntervalMs))
  }
  assert.deepStrictEqual(processesOn(directory), [])
}
