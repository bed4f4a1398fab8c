import type { KindCaps } from "../../core/KindPolicy.ts"
import { type Allowance, allowanceOf, refilled, tokensMaxOf } from "../../core/pace.ts"

/** The `pace` table: one token bucket per capped kind, full when it is first asked for. */
export class Paces {
  readonly #tokens = new Map<string, { readonly count: number; readonly atMs: number }>()

  allowance(kind: string, caps: KindCaps, asked: number, inProgressCount: number, atMs: number): Allowance {
    return allowanceOf(caps, asked, inProgressCount, this.#tokensOf(kind, caps, atMs))
  }

  take(kind: string, caps: KindCaps, claimedCount: number, atMs: number): void {
    if (caps.startsPerSecondMax === null || claimedCount === 0) return
    this.#tokens.set(kind, { count: this.#tokensOf(kind, caps, atMs) - claimedCount, atMs })
  }

  #tokensOf(kind: string, { startsPerSecondMax }: KindCaps, atMs: number): number {
    if (startsPerSecondMax === null) return 0
    const tokens = this.#tokens.get(kind)
    return tokens === undefined
      ? tokensMaxOf(startsPerSecondMax)
      : refilled(tokens.count, atMs - tokens.atMs, startsPerSecondMax)
  }
}
