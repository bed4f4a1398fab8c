/** One line on stderr: redrawn on a terminal, every two seconds elsewhere. */
export class Progress {
  readonly #name: string
  readonly #total: number
  #printedAtMs = -Infinity

  constructor(name: string, total: number) {
    this.#name = name
    this.#total = total
  }

  at(done: number): void {
    const nowMs = performance.now()
    if (nowMs - this.#printedAtMs < (process.stderr.isTTY ? 100 : 2_000)) return
    this.#printedAtMs = nowMs
    process.stderr.write(
      `${process.stderr.isTTY ? "\r" : ""}${this.#name}: ${done} of ${this.#total}${process.stderr.isTTY ? "" : "\n"}`
    )
  }

  end(): void {
    if (process.stderr.isTTY) process.stderr.write("\r\u001b[2K")
  }
}
