/** Reads what the processes write before they are hit. */
import * as fs from "node:fs"
import type { Hit } from "./Trigger.ts"

export class Hits {
  readonly all: Array<Hit> = []
  readonly #file: string
  readonly #counts = new Map<string, number>()
  #readBytes = 0

  constructor(file: string) {
    this.#file = file
    fs.writeFileSync(file, "")
  }

  countOf(point: string): number {
    this.#read()
    return this.#counts.get(point) ?? 0
  }

  /** Whole lines only: the rest is being written. */
  #read(): void {
    if (fs.statSync(this.#file).size === this.#readBytes) return
    const bytes = fs.readFileSync(this.#file)
    const end = bytes.lastIndexOf("\n") + 1
    for (const line of bytes.subarray(this.#readBytes, end).toString().split("\n")) {
      if (line === "") continue
      const hit = JSON.parse(line) as Hit
      this.all.push(hit)
      this.#counts.set(hit.point, (this.#counts.get(hit.point) ?? 0) + 1)
    }
    this.#readBytes = end
  }
}
