import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import { once } from "node:events"
import * as fs from "node:fs"
import * as os from "node:os"
import * as path from "node:path"

/** The first start makes a database cluster, on a machine that may be busy with other tests. */
const timeoutMs = 120_000
const linesMax = 15

describe("the examples of the README", () => {
  for (const [file, exitCode] of [
    ["examples/hello.ts", 130],
    ["examples/helloPromise.ts", 0]
  ] as const) {
    it(
      `${file} greets from a real database in an empty folder, and stops at Ctrl-C`,
      async () => {
        const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-hello-"))
        const hello = spawn(process.execPath, [path.resolve(file)], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] })
        try {
          let output = ""
          let log = ""
          hello.stderr.on("data", (chunk: Buffer) => (log += chunk.toString()))
          const greeted = new Promise<void>((resolve) => {
            hello.stdout.on("data", (chunk: Buffer) => {
              output += chunk.toString()
              if (output.includes("\n")) resolve()
            })
          })
          const ended = once(hello, "close")
          await Promise.race([greeted, ended])
          assert.include(output, "Hello, Ada!", log)
          hello.kill("SIGINT")
          assert.deepStrictEqual(await ended, [exitCode, null], log)
        } finally {
          hello.kill("SIGKILL")
          fs.rmSync(folder, { recursive: true, force: true })
        }
      },
      timeoutMs
    )
  }

  it(`is no longer than ${linesMax} lines of code`, () => {
    const lines = fs.readFileSync("examples/hello.ts", "utf8").split("\n")
    assert.isAtMost(lines.filter((line) => line.trim() !== "").length, linesMax)
  })
})
