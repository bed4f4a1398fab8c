#!/usr/bin/env node
/**
 * Where `duetime` begins. In the package the command line is also there as one bundle (rolldown.config.ts), which starts in a third of the
 * time: resolving and linking Effect's 390 modules is most of what a look-up costs. Commands that run or look at a user's handlers must share
 * the user's own Effect, and take the modules as they are installed.
 */
import { existsSync } from "node:fs"
import { enableCompileCache } from "node:module"
import { homedir } from "node:os"
import { join } from "node:path"

// Not in the shared temporary folder, Node's own choice: whoever makes that one first could hand us their code.
enableCompileCache(join(process.env["XDG_CACHE_HOME"] ?? join(homedir(), ".cache"), "duetime", "compiled"))

const bundle = new URL("./bundle/main.js", import.meta.url)
const command = process.argv.slice(2).find((word) => !word.startsWith("-"))
const sharesEffect =
  command === "engine" || process.argv.some((word) => word === "--tasks" || word.startsWith("--tasks="))

if (!sharesEffect && existsSync(bundle)) await import(bundle.href)
else await import("./main.ts")
