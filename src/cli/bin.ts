#!/usr/bin/env node
/**
 * Where `duetime` begins. In the package the command line is also there as one bundle (rolldown.config.ts), which starts in a third of the
 * time: resolving and linking Effect's 390 modules is most of what a look-up costs. Commands that run or look at a user's handlers must share
 * the user's own Effect, and take the modules as they are installed.
 *
 * A Node that is too old must get as far as being told so: what it may not have is imported below, when it is known not to be one.
 */
import { existsSync } from "node:fs"
import { homedir } from "node:os"
import { join } from "node:path"

/** As `engines` of package.json. */
const oldest = { major: 22, minor: 19 }
/** As for a setting that is wrong. */
const configurationExitCode = 3

const [major = 0, minor = 0] = process.version.slice(1).split(".").map(Number)
if (major < oldest.major || (major === oldest.major && minor < oldest.minor)) {
  console.error(`duetime needs Node ${oldest.major}.${oldest.minor} or newer; this is ${process.version}.`)
  process.exit(configurationExitCode)
}

const { enableCompileCache } = await import("node:module")
// Not in the shared temporary folder, Node's own choice: whoever makes that one first could hand us their code.
enableCompileCache(join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "duetime", "compiled"))

const bundle = new URL("./bundle/main.js", import.meta.url)
const command = process.argv.slice(2).find((word) => !word.startsWith("-"))
const sharesEffect =
  command === "engine" || process.argv.some((word) => word === "--tasks" || word.startsWith("--tasks="))

if (!sharesEffect && existsSync(bundle)) await import(bundle.href)
else await import("./main.ts")
