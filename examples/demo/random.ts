/** Chance that a seed decides: numbers in [0, 1), the same on every machine. George Marsaglia, "Xorshift RNGs" (2003). */
export const randomOf = (seed: number): (() => number) => {
  // Neighbouring seeds shall not begin alike, and a state of 0 would stay 0.
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}
