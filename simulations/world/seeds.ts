/** Seeds that have ever failed: their histories run first. */
import { Schema } from "effect"
import * as fs from "node:fs"
import { fileURLToPath } from "node:url"

const Seeds = Schema.Struct({ seeds: Schema.Array(Schema.Int) })

export const seedsFileDefault = fileURLToPath(new URL("./seeds.json", import.meta.url))

export const readSeeds = (file: string): ReadonlyArray<number> =>
  fs.existsSync(file) ? Schema.decodeUnknownSync(Seeds)(JSON.parse(fs.readFileSync(file, "utf8"))).seeds : []

export const keepSeed = (file: string, seed: number): void => {
  const seeds = new Set([...readSeeds(file), seed])
  fs.writeFileSync(file, `{ "seeds": [${[...seeds].join(", ")}] }\n`)
}
