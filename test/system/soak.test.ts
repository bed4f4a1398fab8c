import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import { seeded } from "../../bench/random.ts"
import { soak, windowsCount } from "../../bench/soak.ts"

/** Memory and drift are the bench's, which runs for minutes and alone; here only what holds on any machine, however busy. */
const isTimed = (name: string) => name.endsWith("of the last third, of the middle one")

describe("a steady mixed load", () => {
  it.live(
    "loses nothing, starts nothing early or twice, and is told window by window",
    () =>
      Effect.gen(function* () {
        const { figures, floors } = yield* soak({ ratePerSecond: 60, seconds: windowsCount, random: seeded(1) })
        assert.deepStrictEqual(
          floors.filter(({ holds, name }) => !holds && !isTimed(name)),
          []
        )
        assert.strictEqual(Object.keys(figures.windows).length, windowsCount)
        for (const one of ["retried", "cancelsTaken", "doomed"] as const) assert.isAbove(figures[one], 0, one)
        assert.isAtLeast(figures.attempts, figures.ends.succeeded + figures.retried, "what failed is tried again")
        assert.isAbove(figures.ends.cancelled, 0, "what waits is cancelled")
      }),
    120_000
  )

  it.live(
    "leaves no process behind when SIGINT ends it",
    () =>
      Effect.promise(async () => {
        const bench = spawn(process.execPath, ["bench/main.ts", "soak", "--seconds", "36"])
        try {
          let told = ""
          let report = ""
          bench.stdout.on("data", (text) => (report += String(text)))
          const ended = new Promise<void>((resolve) => bench.once("exit", () => resolve()))
          const firstWindow = new Promise<void>((resolve) =>
            bench.stderr.on("data", (text) => {
              told += String(text)
              if (told.includes("soak: 1 of")) resolve()
            })
          )
          await Promise.race([firstWindow, ended])
          assert.isNull(bench.exitCode, told)
          const family = familyOf(bench.pid ?? 0)
          assert.isAbove(family.length, 8, "a server with its backends")
          bench.kill("SIGINT")
          await ended
          assert.strictEqual(report, "", "it ends before its time")
          // What was killed with it may take a moment to be gone.
          const untilMs = performance.now() + goneMsMax
          while (family.some(isAlive) && performance.now() < untilMs) await new Promise(setImmediate)
          assert.deepStrictEqual(family.filter(isAlive), [])
        } finally {
          bench.kill("SIGKILL")
        }
      }),
    120_000
  )
})

const goneMsMax = 5_000

/** A process's children and theirs: the server and its backends. */
const familyOf = (processId: number): ReadonlyArray<number> => {
  const children = fs
    .readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        // The parent is the second field after the name, which is in parentheses (proc(5)).
        const parent = fs.readFileSync(`/proc/${name}/stat`, "utf8").split(") ")[1]?.split(" ")[1]
        return parent === String(processId) ? [Number(name)] : []
      } catch {
        return []
      }
    })
  return [...children, ...children.flatMap(familyOf)]
}

const isAlive = (processId: number): boolean => {
  try {
    process.kill(processId, 0)
    return true
  } catch {
    return false
  }
}
