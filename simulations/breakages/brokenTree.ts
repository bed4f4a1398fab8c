/** A copy of the repository's sources with a breakage in it. */
import * as fs from "node:fs"
import * as path from "node:path"
import type { Breakage, Replacement } from "./breakages.ts"

const root = path.join(import.meta.dirname, "../..")
/** What a run reads. */
const copied = ["src", "schema", "simulations", "package.json"] as const

/** @throws if the text does not stand there exactly once */
export const replaced = (source: string, { by, file, text }: Replacement): string => {
  const times = source.split(text).length - 1
  if (times !== 1) throw new Error(`${file} has this text ${times} times, and must have it once: ${text.trim()}`)
  // Not by `replace`, which reads $ in what it is given.
  return source.split(text).join(by)
}

/** Makes the folder; the packages are those of the repository. */
export const copyBroken = (replacements: Breakage["replacements"], into: string): void => {
  fs.mkdirSync(into, { recursive: true })
  for (const name of copied) fs.cpSync(path.join(root, name), path.join(into, name), { recursive: true })
  fs.symlinkSync(fs.realpathSync(path.join(root, "node_modules")), path.join(into, "node_modules"))
  for (const replacement of replacements) {
    const file = path.join(into, replacement.file)
    fs.writeFileSync(file, replaced(fs.readFileSync(file, "utf8"), replacement))
  }
}
