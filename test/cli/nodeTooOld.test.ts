/** The first file of the command line under a Node that is too old for the second. */
import { assert, describe, it } from "@effect/vitest"
import { spawnSync } from "node:child_process"
import * as fs from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import * as os from "node:os"
import * as path from "node:path"

const { engines }: { readonly engines: { readonly node: string } } = JSON.parse(fs.readFileSync("package.json", "utf8"))
const oldest = engines.node.replace(">=", "")

/** Status and output of `duetime --version`. */
const run = (node: string, ...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(node, [...args, "--version"], { encoding: "utf8" })
  return { status, stderr, stdout }
}

const refused = (version: string) => ({
  status: 3,
  stderr: `duetime needs Node ${oldest} or newer; this is ${version}.\n`,
  stdout: ""
})

/** The Node of the system, where it is an old one. */
const systemNode = "/usr/bin/node"
const { stdout: systemVersion } = spawnSync(systemNode, ["--version"], { encoding: "utf8" })
const isOld = /^v(1\d|20)\./.test(systemVersion ?? "")

describe("duetime under another Node", () => {
  const [major = 0, minor = 0] = oldest.split(".").map(Number)
  it.each([`v${major - 2}.99.1`, `v${major}.${minor - 1}.9`])("refuses %s, which is too old", (version) => {
    assert.deepStrictEqual(run(process.execPath, "--import", pretended(version), "src/cli/bin.ts"), refused(version))
  })

  it.each([`v${major}.${minor}.0`, `v${major + 1}.0.0`])("runs under %s", (version) => {
    const { status, stdout } = run(process.execPath, "--import", pretended(version), "src/cli/bin.ts")
    assert.match(stdout, /^duetime v\d/)
    assert.strictEqual(status, 0)
  })

  it.skipIf(!isOld)("is told so by a real old one, which finds nothing in the file that it does not know", () => {
    const folder = fs.mkdtempSync(path.join(os.tmpdir(), "duetime-old-"))
    const file = path.join(folder, "bin.mjs")
    fs.writeFileSync(file, stripTypeScriptTypes(fs.readFileSync("src/cli/bin.ts", "utf8")))
    const ended = run(systemNode, file)
    fs.rmSync(folder, { recursive: true })
    assert.deepStrictEqual(ended, refused(systemVersion.trim()))
  })
})

/** A module that gives this Node the version of another. */
const pretended = (version: string): string =>
  `data:text/javascript,Object.defineProperty(process, "version", { value: "${version}" })`
