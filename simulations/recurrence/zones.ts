/** Always compared: half an hour, a day left out, two changes at Ramadan, midnight that does not come. */
export const namedZones = [
  "Europe/Berlin",
  "Australia/Lord_Howe",
  "Pacific/Apia",
  "Africa/Casablanca",
  "America/Santiago"
] as const

export const allZones = (): ReadonlyArray<string> => [...new Set([...Intl.supportedValuesOf("timeZone"), "UTC"])]

/** A sample that the seed decides (mulberry32), without repetition. */
export const sampleOf = (zones: ReadonlyArray<string>, count: number, seed: number): ReadonlyArray<string> => {
  let state = seed >>> 0
  const draw = (below: number): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below)
  }
  const left = [...zones]
  const taken: Array<string> = []
  while (taken.length < count && left.length > 0) taken.push(...left.splice(draw(left.length), 1))
  return taken
}
